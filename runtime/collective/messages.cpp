#include "runtime/collective/messages.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <vector>

namespace longstride {
namespace {

// A segment that comes in is handed on while the next is on its way.
constexpr size_t kSmallestSegment = 64 << 10, kLargestSegment = 1 << 20;  // bytes
constexpr size_t kSegmentsOfPart = 4;  // as many as keep the link busy, if they are not too small
constexpr int64_t kAhead = 8;          // receives that are begun before they are due

struct Range {
  size_t begin = 0, end = 0;
};

// Part i of n of [begin, end), as equal as can be.
Range Part(Range whole, size_t i, size_t n) {
  const size_t length = whole.end - whole.begin;
  return {whole.begin + length * i / n, whole.begin + length * (i + 1) / n};
}

// Transfers that nobody waits for one by one.
class Transfers {
 public:
  Status Add(Result<std::unique_ptr<Transfer>> started) {
    if (!started.ok()) return started.error();
    transfers_.push_back(std::move(*started));
    return Status();
  }
  Status Wait() {
    for (const auto& transfer : transfers_) LONGSTRIDE_RETURN_IF_ERROR(transfer->Wait());
    transfers_.clear();
    return Status();
  }

 private:
  std::vector<std::unique_ptr<Transfer>> transfers_;
};

// The ring of Patarasuk and Yuan (2009): in 2(M-1) steps every member sends one of M parts to the
// next. In the first M-1 it adds what comes in to its own and sends that on; then every part is
// complete at one member, and the rest hand it round. Part by part in segments, so that a member
// sends what it has while it receives more.
template <typename T>
class Ring {
 public:
  Ring(Messenger& messenger, std::span<T> data)
      : messenger_(messenger),
        data_(data),
        members_(messenger.size()),
        next_((messenger.rank() + 1) % members_),
        previous_((messenger.rank() + members_ - 1) % members_) {
    const size_t part = (data.size() + members_ - 1) / members_ * sizeof(T);
    const size_t bytes = std::clamp(part / kSegmentsOfPart, kSmallestSegment, kLargestSegment);
    segments_ = static_cast<int64_t>(std::max<size_t>(1, (part + bytes - 1) / bytes));
    const size_t longest = (data.size() / members_ + 1) / segments_ + 1;
    scratch_.resize(kAhead);
    for (auto& slot : scratch_) slot.resize(longest);
  }

  Status Run() {
    const int64_t steps = 2 * (members_ - 1), total = steps * segments_;
    for (int64_t k = 0; k < segments_; ++k) LONGSTRIDE_RETURN_IF_ERROR(SendOn(Segment(-1, k)));
    for (int64_t t = 0; t < total; ++t) {
      for (; begun_ < std::min(t + kAhead, total); ++begun_) {
        LONGSTRIDE_RETURN_IF_ERROR(BeginReceive(begun_));
      }
      const Range segment = Segment(t / segments_, t % segments_);
      if (receives_.front()) LONGSTRIDE_RETURN_IF_ERROR(receives_.front()->Wait());
      receives_.pop_front();
      if (IsSummed(t)) Add(segment, scratch_[t % kAhead]);
      if (t + segments_ < total) LONGSTRIDE_RETURN_IF_ERROR(SendOn(segment));
    }
    return sends_.Wait();
  }

 private:
  // What comes in at `step`; at step -1, this member's own part, which nobody has added to.
  Range Segment(int64_t step, int64_t k) const {
    const int64_t part = ((messenger_.rank() - step - 1) % members_ + members_) % members_;
    return Part(Part({0, data_.size()}, part, members_), k, segments_);
  }
  bool IsSummed(int64_t t) const { return t / segments_ < members_ - 1; }

  Status SendOn(Range segment) {
    const auto span = data_.subspan(segment.begin, segment.end - segment.begin);
    if (span.empty()) return Status();
    return sends_.Add(messenger_.StartSend(std::as_bytes(span), next_));
  }

  // A complete part goes to its place at once: it comes only after this member's own sum has left.
  Status BeginReceive(int64_t t) {
    const Range segment = Segment(t / segments_, t % segments_);
    const size_t length = segment.end - segment.begin;
    const std::span<T> to = IsSummed(t) ? std::span<T>(scratch_[t % kAhead]).first(length)
                                        : data_.subspan(segment.begin, length);
    if (length == 0) {
      receives_.emplace_back();
      return Status();
    }
    LONGSTRIDE_ASSIGN_OR_RETURN(auto transfer,
                                messenger_.StartReceive(std::as_writable_bytes(to), previous_));
    receives_.push_back(std::move(transfer));
    return Status();
  }

  void Add(Range segment, const std::vector<T>& values) {
    T* const sum = data_.data() + segment.begin;
    const T* const more = values.data();
    for (size_t i = 0, n = segment.end - segment.begin; i < n; ++i) sum[i] += more[i];
  }

  Messenger& messenger_;
  const std::span<T> data_;
  const int members_;
  const int next_, previous_;
  int64_t segments_ = 1;  // of each part
  int64_t begun_ = 0;     // receives
  std::vector<std::vector<T>> scratch_;
  std::deque<std::unique_ptr<Transfer>> receives_;  // begun and not waited for
  Transfers sends_;
};

template <typename T>
Status SumOverRing(Messenger& messenger, std::span<T> data) {
  if (messenger.size() == 1) return Status();
  return Ring<T>(messenger, data).Run();
}

}  // namespace

Status AllReduceSum(Messenger& messenger, std::span<float> data) {
  return SumOverRing(messenger, data);
}

Status AllReduceSum(Messenger& messenger, std::span<double> data) {
  return SumOverRing(messenger, data);
}

Status AllGather(Messenger& messenger, std::span<const std::byte> mine, std::span<std::byte> all) {
  const size_t n = mine.size();
  if (n == 0) return Status();
  Transfers transfers;
  const int size = messenger.size();
  std::memcpy(all.data() + n * messenger.rank(), mine.data(), n);
  for (int i = 1; i < size; ++i) {  // everybody begins with another, so that no link is crowded
    const int from = (messenger.rank() + size - i) % size;
    LONGSTRIDE_RETURN_IF_ERROR(
        transfers.Add(messenger.StartReceive(all.subspan(n * from, n), from)));
    LONGSTRIDE_RETURN_IF_ERROR(
        transfers.Add(messenger.StartSend(mine, (messenger.rank() + i) % size)));
  }
  return transfers.Wait();
}

Status AllToAll(Messenger& messenger, std::span<const std::byte> send,
                std::span<std::byte> receive) {
  const int size = messenger.size();
  const size_t n = send.size() / size;
  if (n == 0) return Status();
  Transfers transfers;
  std::memcpy(receive.data() + n * messenger.rank(), send.data() + n * messenger.rank(), n);
  for (int i = 1; i < size; ++i) {
    const int from = (messenger.rank() + size - i) % size, to = (messenger.rank() + i) % size;
    LONGSTRIDE_RETURN_IF_ERROR(
        transfers.Add(messenger.StartReceive(receive.subspan(n * from, n), from)));
    LONGSTRIDE_RETURN_IF_ERROR(transfers.Add(messenger.StartSend(send.subspan(n * to, n), to)));
  }
  return transfers.Wait();
}

// A binomial tree: in step i member v, counted from the root, sends to v + 2^i if it is below 2^i.
Status Broadcast(Messenger& messenger, std::span<std::byte> data, int root) {
  const int size = messenger.size(), v = (messenger.rank() - root + size) % size;
  const auto rank_of = [&](int member) { return (member + root) % size; };
  int step = 1;  // the first in which this member sends
  while (step <= v) step <<= 1;
  std::vector<std::unique_ptr<Transfer>> receives;
  const auto segment = [&](size_t begin) {
    return data.subspan(begin, std::min(kLargestSegment, data.size() - begin));
  };
  for (size_t begin = 0; v > 0 && begin < data.size(); begin += kLargestSegment) {
    LONGSTRIDE_ASSIGN_OR_RETURN(auto receive,
                                messenger.StartReceive(segment(begin), rank_of(v - step / 2)));
    receives.push_back(std::move(receive));
  }
  Transfers sends;
  for (size_t begin = 0; begin < data.size(); begin += kLargestSegment) {
    if (v > 0) LONGSTRIDE_RETURN_IF_ERROR(receives[begin / kLargestSegment]->Wait());
    for (int s = step; v + s < size; s <<= 1) {
      LONGSTRIDE_RETURN_IF_ERROR(sends.Add(messenger.StartSend(segment(begin), rank_of(v + s))));
    }
  }
  return sends.Wait();
}

Status Send(Messenger& messenger, std::span<const std::byte> data, int to) {
  LONGSTRIDE_ASSIGN_OR_RETURN(const auto transfer, messenger.StartSend(data, to));
  return transfer->Wait();
}

Status Receive(Messenger& messenger, std::span<std::byte> data, int from) {
  LONGSTRIDE_ASSIGN_OR_RETURN(const auto transfer, messenger.StartReceive(data, from));
  return transfer->Wait();
}

// In step i everybody hears from the member 2^i before it, which has heard of 2^i members by then
// (dissemination barrier, Hensgen, Finkel and Manber 1988).
Status Barrier(Messenger& messenger) {
  const int size = messenger.size();
  for (int step = 1; step < size; step <<= 1) {
    std::byte in{};
    const std::byte out{};
    Transfers transfers;
    LONGSTRIDE_RETURN_IF_ERROR(
        transfers.Add(messenger.StartReceive({&in, 1}, (messenger.rank() + size - step) % size)));
    LONGSTRIDE_RETURN_IF_ERROR(
        transfers.Add(messenger.StartSend({&out, 1}, (messenger.rank() + step) % size)));
    LONGSTRIDE_RETURN_IF_ERROR(transfers.Wait());
  }
  return Status();
}

}  // namespace longstride
