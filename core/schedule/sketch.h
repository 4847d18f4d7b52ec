// A count-sketch of a gradient: K numbers whose squared norm and inner products estimate those of
// the gradient without bias, and which is linear, so the sketch of an average is the average of the
// sketches. [Charikar, Chen, Farach-Colton 2002; Alon, Matias, Szegedy 1996] Element i goes with
// sign s(i) = +-1 to bucket (i + r(i / K)) mod K: a hash of every 64th element gives 64 signs, and
// every block of K elements is rotated at random. Within a block no two elements meet; across
// blocks two elements meet with probability 1/K, so the estimate of ||x||^2 has a relative standard
// deviation of at most about sqrt(2 / K), also on structured tensors (without the rotation, large
// columns of a matrix would collide block after block).
//
// Signs and rotations come from a counter-based hash keyed (seed, round): the same on every worker,
// fresh every round. Accumulation is fp64 in element order per bucket, so the result is the same
// bits on any CPU and however the gradient is cut into spans. One pass over memory. Not
// thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace longstride {

class GradientSketch {
 public:
  // An empty sketch of `buckets` >= 1 numbers.
  GradientSketch(int64_t buckets, uint64_t seed, uint64_t round);

  // Adds the next elements. Several tensors are fed in one fixed order, or one flat span; equal
  // sequences of elements give equal bits. Non-finite elements make their buckets non-finite.
  void Add(std::span<const float> elements);
  void Add(std::span<const double> elements);

  // Passes over `count` elements as if they were 0.
  void Skip(int64_t count);

  [[nodiscard]] int64_t elements() const { return position_; }              // fed or skipped so far
  [[nodiscard]] std::span<const double> values() const { return values_; }  // [buckets]
  [[nodiscard]] double SquaredNorm() const;                                 // estimates ||x||^2
  // Estimates <x, y>, where `other` are the values of a sketch of y with the same K, seed and
  // round.
  [[nodiscard]] double InnerProduct(std::span<const double> other) const;
  // out[j] = weight * values[j]: a worker's part of the all-reduce, with weight b_m. out.size() ==
  // buckets.
  void WriteScaled(double weight, std::span<double> out) const;

 private:
  template <typename T>
  void AddElements(std::span<const T> elements);
  void StartBlock();

  std::vector<double> values_;
  uint64_t sign_key_;
  uint64_t rotation_key_;
  int64_t position_ = 0;        // index of the next element
  int64_t block_ = 0;           // position_ / K
  int64_t block_position_ = 0;  // position_ mod K
  int64_t rotation_ = 0;        // of the current block
};

}  // namespace longstride
