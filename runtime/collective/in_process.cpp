// The collectives of `size` threads within one process: a shared table of deposited inputs between
// two barriers. Sums run in rank order, so results depend on nothing but the inputs.
#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "core/base/format.h"
#include "runtime/collective/collective.h"
#include "runtime/collective/traffic.h"

namespace longstride {
namespace {

using Clock = std::chrono::steady_clock;

// One call's identity: all members must agree on it.
struct Call {
  const char* name = "";
  size_t bytes = 0;
  int root = 0;
  bool operator==(const Call& other) const {
    return std::strcmp(name, other.name) == 0 && bytes == other.bytes && root == other.root;
  }
};

struct Hub {
  explicit Hub(int members) : size(members), inputs(members), calls(members) {}

  const int size;
  std::mutex mutex;
  std::condition_variable changed;
  uint64_t arrivals = 0;  // of all members at all barriers; barrier e is passed at (e + 1) * size
  bool dead = false;
  std::vector<std::vector<std::byte>> inputs;
  std::vector<Call> calls;
  std::map<std::pair<int, int>, std::deque<std::vector<std::byte>>> letters;  // by (from, to)

  void Kill() {
    const std::lock_guard lock(mutex);
    dead = true;
    changed.notify_all();
  }

  // Waits until every member has arrived at this member's next barrier.
  Status Arrive(uint64_t& barriers, Clock::time_point deadline) {
    std::unique_lock lock(mutex);
    if (dead) return Error{ErrorCode::kLostPeer, "a member of the generation went away"};
    ++arrivals;
    const uint64_t target = ++barriers * size;
    changed.notify_all();
    const bool woken =
        changed.wait_until(lock, deadline, [&] { return arrivals >= target || dead; });
    if (arrivals >= target) return Status();
    if (woken) return Error{ErrorCode::kLostPeer, "a member of the generation went away"};
    dead = true;
    changed.notify_all();
    return Error{ErrorCode::kTransient, "a collective operation passed its deadline"};
  }
};

class InProcessCollective final : public Collective {
 public:
  InProcessCollective(std::shared_ptr<Hub> hub, int rank) : hub_(std::move(hub)), rank_(rank) {}
  ~InProcessCollective() override { hub_->Kill(); }

  int rank() const override { return rank_; }
  int size() const override { return hub_->size; }

  Status AllReduceSum(std::span<float> data, Purpose purpose) override {
    return Sum(data, "all-reduce of fp32", purpose);
  }
  Status AllReduceSum(std::span<double> data, Purpose purpose) override {
    return Sum(data, "all-reduce of fp64", purpose);
  }

  Status AllGather(std::span<const std::byte> mine, std::span<std::byte> all,
                   Purpose purpose) override {
    if (all.size() != mine.size() * size()) {
      return Error{ErrorCode::kBug, "all-gather: the output is not size() times the input"};
    }
    return Exchange({"all-gather", mine.size()}, mine, purpose, AllGatherBytes(mine.size(), size()),
                    [&] {
                      for (int r = 0; r < size(); ++r)
                        CopyFrom(r, 0, all.subspan(r * mine.size(), mine.size()));
                    });
  }

  Status AllToAll(std::span<const std::byte> send, std::span<std::byte> receive,
                  Purpose purpose) override {
    if (send.size() != receive.size() || send.size() % size() != 0) {
      return Error{ErrorCode::kBug, "all-to-all: parts must be equal and as many as members"};
    }
    const size_t part = send.size() / size();
    return Exchange({"all-to-all", send.size()}, send, purpose, AllToAllBytes(send.size(), size()),
                    [&] {
                      for (int r = 0; r < size(); ++r)
                        CopyFrom(r, rank_ * part, receive.subspan(r * part, part));
                    });
  }

  Status Broadcast(std::span<std::byte> data, int root, Purpose purpose) override {
    if (root < 0 || root >= size()) return Error{ErrorCode::kBug, "broadcast: no such root"};
    const auto input = rank_ == root ? data : data.first(0);
    return Exchange({"broadcast", data.size(), root}, input, purpose,
                    BroadcastBytes(data.size(), rank_, size(), root), [&] {
                      if (rank_ != root) CopyFrom(root, 0, data);
                    });
  }

  // Does not wait for the receiver.
  Status Send(std::span<const std::byte> data, int to, Purpose purpose) override {
    if (to < 0 || to >= size() || to == rank_) return BugError("send: no such member");
    const std::lock_guard lock(hub_->mutex);
    if (hub_->dead) return Gone();
    hub_->letters[{rank_, to}].emplace_back(data.begin(), data.end());
    hub_->changed.notify_all();
    Count({static_cast<int64_t>(data.size()), 0}, purpose, traffic_);
    return Status();
  }

  Status Receive(std::span<std::byte> data, int from, Purpose purpose) override {
    if (from < 0 || from >= size() || from == rank_) return BugError("receive: no such member");
    std::unique_lock lock(hub_->mutex);
    auto& letters = hub_->letters[{from, rank_}];
    const bool woken = hub_->changed.wait_until(lock, Clock::now() + timeout_,
                                                [&] { return !letters.empty() || hub_->dead; });
    if (!woken) return TransientError("a collective operation passed its deadline");
    if (letters.empty()) return Gone();
    if (letters.front().size() != data.size())
      return BugError(Format("rank %d receives %zu bytes, but rank %d sent %zu", rank_, data.size(),
                             from, letters.front().size()));
    std::ranges::copy(letters.front(), data.begin());
    letters.pop_front();
    Count({0, static_cast<int64_t>(data.size())}, purpose, traffic_);
    return Status();
  }

  Status Barrier() override {
    return Exchange({"barrier"}, {}, Purpose::kControl, WireBytes{}, [] {});
  }

  void SetTimeout(Duration timeout) override { timeout_ = timeout; }
  void Abort() override { hub_->Kill(); }
  const Traffic& traffic() const override { return traffic_; }

 private:
  static Status Gone() { return LostPeerError("a member of the generation went away"); }

  template <typename T>
  Status Sum(std::span<T> data, const char* name, Purpose purpose) {
    return Exchange({name, data.size_bytes()}, std::as_bytes(data), purpose,
                    AllReduceBytes(data.size_bytes(), size()), [&] {
                      CopyFrom(0, 0, std::as_writable_bytes(data));
                      for (int r = 1; r < size(); ++r) {
                        const auto* other = reinterpret_cast<const T*>(hub_->inputs[r].data());
                        for (size_t i = 0; i < data.size(); ++i) data[i] += other[i];
                      }
                    });
  }

  void CopyFrom(int rank, size_t offset, std::span<std::byte> to) const {
    if (!to.empty()) std::memcpy(to.data(), hub_->inputs[rank].data() + offset, to.size());
  }

  // Deposits `input`, and once every member has, lets `read` take the result out of the table.
  template <typename Read>
  Status Exchange(const Call& call, std::span<const std::byte> input, Purpose purpose,
                  const WireBytes& bytes, Read read) {
    const auto deadline = Clock::now() + timeout_;
    hub_->inputs[rank_].assign(input.begin(), input.end());
    hub_->calls[rank_] = call;
    if (Status s = hub_->Arrive(barriers_, deadline); !s) return s;
    for (int r = 0; r < size(); ++r) {
      if (hub_->calls[r] == call) continue;
      const Call& other = hub_->calls[r];
      const std::string message =
          Format("rank %d called %s of %zu bytes while rank %d called %s of %zu bytes", rank_,
                 call.name, call.bytes, r, other.name, other.bytes);
      hub_->Kill();
      return Error{ErrorCode::kBug, message};
    }
    read();
    if (Status s = hub_->Arrive(barriers_, deadline); !s) return s;
    Count(bytes, purpose, traffic_);
    return Status();
  }

  const std::shared_ptr<Hub> hub_;
  const int rank_;
  uint64_t barriers_ = 0;
  Duration timeout_ = std::chrono::seconds(60);
  Traffic traffic_;
};

}  // namespace

std::vector<std::unique_ptr<Collective>> MakeInProcessCollectives(int size) {
  auto hub = std::make_shared<Hub>(size);
  std::vector<std::unique_ptr<Collective>> members;
  for (int r = 0; r < size; ++r) members.push_back(std::make_unique<InProcessCollective>(hub, r));
  return members;
}

}  // namespace longstride
