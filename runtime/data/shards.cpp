#include "runtime/data/shards.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/base/format.h"
#include "core/base/random.h"
#include "core/spec/shards.h"

namespace longstride {
namespace {

constexpr int kMostDraws = 1000;
constexpr int64_t kReadAtOnce = 1024;

// Logarithm and exponential by + - * / in fixed order: libm's differ in the last bit between CPUs,
// and then a sample could be in two shards, or in none.
double Log(double x) {  // x > 0
  int exponent = 0;
  const double mantissa = std::frexp(x, &exponent);  // exact; in [1/2, 1)
  // log(m) = 2 artanh((m - 1) / (m + 1)), whose argument is at least -1/3.
  const double t = (mantissa - 1) / (mantissa + 1), square = t * t;
  double sum = 0;
  for (int k = 33; k >= 1; k -= 2) sum = sum * square + 1.0 / k;
  return 2 * t * sum + exponent * 0.69314718055994531;
}

double Exp(double x) {  // x <= 0 or small
  if (x < -700) return 0;
  const double powers = std::floor(x * 1.4426950408889634);
  const double rest = x - powers * 0.69314718055994531;
  double sum = 1;
  for (int k = 20; k >= 1; --k) sum = 1 + sum * rest / k;
  return std::ldexp(sum, static_cast<int>(powers));
}

double UniformAboveZero(Random& random) {
  return 1 - random.NextUniform();
}

double Normal(Random& random) {  // Marsaglia's polar method
  while (true) {
    const double u = 2 * random.NextUniform() - 1, v = 2 * random.NextUniform() - 1;
    const double square = u * u + v * v;
    if (square > 0 && square < 1) return u * std::sqrt(-2 * Log(square) / square);
  }
}

// Of shape `alpha` + 1 >= 1 [Marsaglia, Tsang 2000], then brought to shape alpha.
double Gamma(Random& random, double alpha) {
  const double d = alpha + 1 - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = Normal(random), root = 1 + c * x;
    if (root <= 0) continue;
    const double v = root * root * root;
    if (Log(UniformAboveZero(random)) < x * x / 2 + d - d * v + d * Log(v)) {
      return d * v * Exp(Log(UniformAboveZero(random)) / alpha);
    }
  }
}

void Shuffle(std::vector<int64_t>& items, Random& random) {
  for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random.NextBelow(i)]);
}

// One draw for one class: where each shard's part of `size` samples ends.
std::vector<int64_t> DrawEnds(Random& random, int64_t size, int64_t shards, double alpha) {
  std::vector<double> shares(static_cast<size_t>(shards));
  double sum = 0;
  for (double& share : shares) sum += share = Gamma(random, alpha);
  std::vector<int64_t> ends;
  double before = 0;
  for (const double share : shares) {
    before += share;
    const double end = sum > 0 ? before / sum * static_cast<double>(size) : 0;
    ends.push_back(std::min(size, static_cast<int64_t>(end + 0.5)));
  }
  ends.back() = size;
  return ends;
}

void Replace(std::string& text, const std::string& name, const std::string& value) {
  for (size_t at = text.find(name); at != std::string::npos;
       at = text.find(name, at + value.size()))
    text.replace(at, name.size(), value);
}

std::string Filled(std::string path, const std::string& group, int64_t index) {
  Replace(path, "{group}", group);
  Replace(path, "{index}", std::to_string(index));
  return path;
}

std::vector<int64_t> Labels(const Dataset& dataset) {
  std::vector<int64_t> labels;
  Batch batch;
  for (int64_t i = 0; i < dataset.size(); i += kReadAtOnce) {
    std::vector<int64_t> indices(static_cast<size_t>(std::min(kReadAtOnce, dataset.size() - i)));
    std::iota(indices.begin(), indices.end(), i);
    dataset.Read(indices, batch);
    labels.insert(labels.end(), batch.labels.begin(), batch.labels.end());
  }
  return labels;
}

// Some samples of another data set.
class Shard final : public Dataset {
 public:
  Shard(std::unique_ptr<Dataset> whole, std::vector<int64_t> indices)
      : whole_(std::move(whole)), indices_(std::move(indices)) {}
  [[nodiscard]] int64_t size() const override { return static_cast<int64_t>(indices_.size()); }
  [[nodiscard]] const DataShape& shape() const override { return whole_->shape(); }
  void Read(std::span<const int64_t> indices, Batch& batch) const override {
    std::vector<int64_t> in_whole;
    in_whole.reserve(indices.size());
    for (const int64_t i : indices) in_whole.push_back(indices_[static_cast<size_t>(i)]);
    whole_->Read(in_whole, batch);
  }

 private:
  std::unique_ptr<Dataset> whole_;
  std::vector<int64_t> indices_;
};

}  // namespace

Result<DatasetPair> OpenOwnDatasets(const TrainingJobSpec& job, const std::string& group,
                                    int64_t index) {
  DataSpec data = job.data;
  const auto seed = static_cast<uint64_t>(job.seed);
  if (data.placement == DataPlacement::kLocal) {
    data.path = Filled(data.path, group, index);
    data.evaluation_path = Filled(data.evaluation_path, group, index);
  }
  LONGSTRIDE_ASSIGN_OR_RETURN(DatasetPair pair, OpenDatasets(data, seed));
  if (data.placement == DataPlacement::kShared || !data.partition) return pair;

  const int64_t shards = ShardsOf(job);
  if (index >= shards) {
    return UserError(
        Format("spec.data.partition: worker %s-%ld has no shard, there are %ld; set "
               "shards to the largest number of workers",
               group.c_str(), index, shards));
  }
  const DataShape& shape = pair.train->shape();
  if (shape.classes == 0 || shape.tokens)
    return UserError("spec.data.partition: the data have no classes to partition by");
  LONGSTRIDE_ASSIGN_OR_RETURN(auto parts,
                              PartitionByClass(Labels(*pair.train), shape.classes, shards,
                                               data.partition->dirichlet, seed));
  pair.train =
      std::make_unique<Shard>(std::move(pair.train), std::move(parts[static_cast<size_t>(index)]));
  return pair;
}

Result<std::vector<std::vector<int64_t>>> PartitionByClass(std::span<const int64_t> labels,
                                                           int64_t classes, int64_t shards,
                                                           double alpha, uint64_t seed) {
  constexpr uint64_t kStream = 4;  // of the job's seed
  SeededRandom random(Hash64(seed, kStream));
  std::vector<std::vector<int64_t>> members(static_cast<size_t>(classes));
  for (size_t i = 0; i < labels.size(); ++i) {
    members[static_cast<size_t>(labels[i])].push_back(static_cast<int64_t>(i));
  }
  for (std::vector<int64_t>& of_class : members) Shuffle(of_class, random);
  for (int draw = 0; draw < kMostDraws; ++draw) {
    std::vector<std::vector<int64_t>> parts(static_cast<size_t>(shards));
    for (const std::vector<int64_t>& of_class : members) {
      auto begin = of_class.begin();
      const std::vector<int64_t> ends =
          DrawEnds(random, static_cast<int64_t>(of_class.size()), shards, alpha);
      for (size_t s = 0; s < parts.size(); ++s) {
        const auto end = of_class.begin() + ends[s];
        parts[s].insert(parts[s].end(), begin, end);
        begin = end;
      }
    }
    if (std::ranges::any_of(parts, [](const auto& part) { return part.empty(); })) continue;
    for (std::vector<int64_t>& part : parts) std::ranges::sort(part);
    return parts;
  }
  return UserError(
      Format("spec.data.partition: in %d draws some of %ld shards were always empty; "
             "use fewer shards or a larger dirichlet",
             kMostDraws, shards));
}

}  // namespace longstride
