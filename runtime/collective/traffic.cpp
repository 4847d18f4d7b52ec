#include "runtime/collective/traffic.h"

#include <numeric>

namespace longstride {

int64_t Traffic::TotalSent() const {
  return std::accumulate(std::begin(sent), std::end(sent), int64_t{0});
}

int64_t Traffic::TotalReceived() const {
  return std::accumulate(std::begin(received), std::end(received), int64_t{0});
}

WireBytes AllReduceBytes(int64_t bytes, int size) {
  const int64_t each_way = 2 * (size - 1) * bytes / size;
  return {each_way, each_way};
}

WireBytes AllGatherBytes(int64_t own_bytes, int size) {
  return {own_bytes * (size - 1), own_bytes * (size - 1)};
}

WireBytes AllToAllBytes(int64_t bytes, int size) {
  const int64_t each_way = bytes / size * (size - 1);
  return {each_way, each_way};
}

WireBytes BroadcastBytes(int64_t bytes, int rank, int size, int root) {
  // In step i member v (counted from the root) sends to v + 2^i if it is below 2^i, so if it has
  // the data.
  const int v = (rank - root + size) % size;
  int64_t children = 0;
  for (int step = 1; step < size; step <<= 1) {
    if (v < step && v + step < size) ++children;
  }
  return {children * bytes, v == 0 ? 0 : bytes};
}

void Count(const WireBytes& bytes, Purpose purpose, Traffic& traffic) {
  traffic.sent[static_cast<int>(purpose)] += bytes.sent;
  traffic.received[static_cast<int>(purpose)] += bytes.received;
}

}  // namespace longstride
