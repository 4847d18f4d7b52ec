#include "runtime/training/state_transfer.h"

#include <algorithm>

namespace longstride {
namespace {

// A receiver that hears nothing for the collective's timeout gives up; so it hears that there is
// nothing to hear.
constexpr Duration kSignOfLife = std::chrono::seconds(10);

// Precedes each chunk. `count` elements follow, of parameters and then of the velocity.
struct Announcement {
  int64_t count = 0;
  int64_t over = 0;  // 1: the giver's local steps are over
};

}  // namespace

template <typename T>
StateTransfer<T>::StateTransfer(Collective& collective, Replica<T>& replica,
                                std::vector<int> givers)
    : collective_(collective),
      replica_(replica),
      rank_(collective.rank()),
      givers_(std::move(givers)) {
  FindLacking();
}

template <typename T>
StateTransfer<T>::~StateTransfer() {
  (void)End();
}

template <typename T>
std::vector<bool> StateTransfer<T>::lacking() const {
  std::vector<bool> lacking;
  for (const int giver : givers_) lacking.push_back(giver >= 0);
  return lacking;
}

template <typename T>
int StateTransfer<T>::first_holder() const {
  return static_cast<int>(std::ranges::find(givers_, -1) - givers_.begin());
}

template <typename T>
void StateTransfer<T>::FindLacking() {
  first_lacking_ = -1;
  receivers_.clear();
  for (int r = static_cast<int>(givers_.size()) - 1; r >= 0; --r) {
    if (givers_[r] >= 0) first_lacking_ = r;
    if (givers_[r] == rank_) receivers_.push_back(r);
  }
}

template <typename T>
void StateTransfer<T>::Begin() {
  if (receivers_.empty()) return;
  ending_ = false;
  thread_ = std::thread([this] { given_ = Give(); });
}

template <typename T>
Status StateTransfer<T>::End() {
  if (!thread_.joinable()) return {};
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
  return given_;
}

template <typename T>
Status StateTransfer<T>::Give() {
  Duration rest{};
  do {  // at least one chunk a round, so that short rounds bring it to an end as well
    const int64_t bytes_each = static_cast<int64_t>(
        sizeof(T) * (replica_.outer().state().empty() ? 1 : 2) * receivers_.size());
    const int64_t count =
        std::min(replica_.size() - moved_, std::max<int64_t>(1, pacer_.bytes() / bytes_each));
    const TimePoint begin = clock_.Now();
    LONGSTRIDE_RETURN_IF_ERROR(SendChunk(count));
    rest = count > 0 ? pacer_.Took(count * bytes_each, clock_.Now() - begin) : kSignOfLife;
  } while (Rest(rest));
  const Announcement over{0, 1};
  for (const int r : receivers_) {
    LONGSTRIDE_RETURN_IF_ERROR(
        collective_.Send(std::as_bytes(std::span(&over, 1)), r, Purpose::kState));
  }
  return {};
}

template <typename T>
Status StateTransfer<T>::SendChunk(int64_t count) {
  const Announcement announcement{count, 0};
  for (const int r : receivers_) {
    LONGSTRIDE_RETURN_IF_ERROR(
        collective_.Send(std::as_bytes(std::span(&announcement, 1)), r, Purpose::kState));
    if (count == 0) continue;
    for (const std::span<const T> values :
         {std::span<const T>(replica_.anchor()), std::span<const T>(replica_.outer().state())}) {
      if (values.empty()) continue;
      LONGSTRIDE_RETURN_IF_ERROR(
          collective_.Send(std::as_bytes(values.subspan(moved_, count)), r, Purpose::kState));
    }
    // Only what has arrived has been paid for: the kernel takes megabytes at once.
    std::byte arrived{};
    LONGSTRIDE_RETURN_IF_ERROR(collective_.Receive(std::span(&arrived, 1), r, Purpose::kState));
  }
  moved_ += count;
  return {};
}

template <typename T>
bool StateTransfer<T>::Rest(Duration length) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, length, [this] { return ending_; });
  return !ending_;
}

template <typename T>
Status StateTransfer<T>::Receive() {
  const int giver = givers_[rank_];
  while (true) {
    Announcement announcement;
    LONGSTRIDE_RETURN_IF_ERROR(collective_.Receive(
        std::as_writable_bytes(std::span(&announcement, 1)), giver, Purpose::kState));
    if (announcement.over != 0) return {};
    const int64_t count = announcement.count;
    if (count == 0) continue;
    if (count < 0 || count > replica_.size() - moved_)
      return BugError("a peer sends more of its state than there is");
    for (const std::span<T> values : {replica_.flat().parameters(), replica_.outer().state()}) {
      if (values.empty()) continue;
      LONGSTRIDE_RETURN_IF_ERROR(collective_.Receive(
          std::as_writable_bytes(values.subspan(moved_, count)), giver, Purpose::kState));
    }
    moved_ += count;
    const std::byte arrived{1};
    LONGSTRIDE_RETURN_IF_ERROR(collective_.Send(std::span(&arrived, 1), giver, Purpose::kState));
  }
}

template <typename T>
void StateTransfer<T>::Update(const std::vector<RankSlot>& slots, bool averaged) {
  for (size_t r = 0; r < slots.size(); ++r) {
    if (averaged && slots[r].received_all) givers_[r] = -1;
  }
  FindLacking();
}

template class StateTransfer<float>;
template class StateTransfer<double>;

}  // namespace longstride
