// Debian's Gloo headers are only parsed, for the types that c10d's header names; the Gloo that runs
// is the one inside libtorch_cpu. Linking another beside it would rebind symbols, so nothing of
// gloo:: is called here.
#define USE_C10D_GLOO
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "core/base/format.h"
#include "core/base/log.h"
#include "runtime/collective/c10d_store.h"
#include "runtime/collective/operation_backend.h"
#include "runtime/collective/sockets.h"
#include "runtime/collective/threaded_collective.h"

namespace longstride {
namespace {

using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

// The callers' deadlines decide; Gloo's own only bounds an operation that was given up.
constexpr milliseconds kGlooTimeout = std::chrono::hours(24);
// Connecting takes milliseconds once all members are there. A member that cannot reach another
// should not hold the rest up, so the first attempt gets a tenth of the time, each later one twice
// as much as the one before.
constexpr int kFirstAttemptShare = 10;
constexpr size_t kHalvesFromBytes = 4 << 20;

class GlooBackend final : public OperationBackend {
 public:
  explicit GlooBackend(const GlooOptions& options) : options_(options) {}

  // kUser when the address is not this machine's.
  Status Connect(std::shared_ptr<RendezvousStore> store, TimePoint deadline) override {
    // Gloo gives up after three refused connections, which a busy peer can cause: so try again, all
    // members together, with new keys and a new listener.
    Status last = Error{ErrorCode::kTransient, "no time to connect to the other members"};
    for (int attempt = 0; SteadyClock::now() < deadline; ++attempt) {
      const auto patience =
          std::chrono::ceil<milliseconds>(options_.connect_timeout / kFirstAttemptShare) *
          (1 << std::min(attempt, 10));
      last = Attempt(store, Format("gloo/%d/", attempt), deadline, patience);
      if (last.ok() || last.error().code != ErrorCode::kTransient) break;
      Release();
    }
    return last;
  }

  Status AllReduce(std::span<float> data) override { return Sum(data, at::kFloat); }
  Status AllReduce(std::span<double> data) override { return Sum(data, at::kDouble); }

  Status AllGather(std::span<const std::byte> mine, std::span<std::byte> all) override {
    return Operate("all-gather", [&] {
      std::vector<at::Tensor> inputs = {Bytes(mine)};
      std::vector<std::vector<at::Tensor>> outputs(1);
      for (int r = 0; r < options_.size; ++r) {
        outputs[0].push_back(Bytes(all.subspan(r * mine.size(), mine.size())));
      }
      return group_->allgather(outputs, inputs);
    });
  }

  Status AllToAll(std::span<const std::byte> send, std::span<std::byte> receive) override {
    return Operate("all-to-all", [&] {
      at::Tensor input = Bytes(send);
      at::Tensor output = Bytes(receive);
      std::vector<int64_t> equal_parts;
      return group_->all_to_all_single(output, input, equal_parts, equal_parts);
    });
  }

  Status Broadcast(std::span<std::byte> data, int root) override {
    return Operate("broadcast", [&] {
      std::vector<at::Tensor> tensors = {Bytes(data)};
      c10d::BroadcastOptions options;
      options.rootRank = root;
      return group_->broadcast(tensors, options);
    });
  }

  Status Send(std::span<const std::byte> data, int to) override {
    return Operate("send", [&] {
      std::vector<at::Tensor> tensors = {Bytes(data)};
      return group_->send(tensors, to, 0);
    });
  }

  Status Receive(std::span<std::byte> data, int from) override {
    return Operate("receive", [&] {
      std::vector<at::Tensor> tensors = {Bytes(data)};
      return group_->recv(tensors, from, 0);
    });
  }

  Status Barrier() override {
    return Operate("barrier", [&] { return group_->barrier(); });
  }

  // abort() of c10d's group does not wake Gloo, but shutting its sockets down does.
  void Interrupt() override {
    const std::lock_guard lock(mutex_);
    ShutdownAll(sockets_);
  }

  // Gloo reports a lost connection only to operations that wait for that peer, not to those that
  // wait for a peer that waits for it. So: a peer has gone, and nothing has moved since this was
  // last asked. A peer that left after it had sent its part does not make an operation hopeless.
  bool IsHopeless() override {
    const std::lock_guard lock(mutex_);
    const SocketVitals vitals = CheckVitals(sockets_);
    const bool moving = std::exchange(bytes_moved_, vitals.bytes_moved) != vitals.bytes_moved;
    return vitals.any_closed && !moving;
  }

  void Release() override {
    {
      const std::lock_guard lock(mutex_);
      sockets_.clear();
    }
    group_.reset();
    device_.reset();
  }

 private:
  static at::Tensor Bytes(std::span<const std::byte> bytes) {
    // Tensors know no const; inputs are only read.
    return at::from_blob(const_cast<std::byte*>(bytes.data()), {static_cast<int64_t>(bytes.size())},
                         at::kByte);
  }

  // In two halves at once, so that one fills the pauses of the other's ring and the link stays
  // busy.
  template <typename T>
  Status Sum(std::span<T> data, at::ScalarType type) {
    const size_t half = data.size_bytes() < kHalvesFromBytes ? data.size() : data.size() / 2;
    return Guarded(ErrorCode::kLostPeer, "all-reduce", [&] {
      std::vector<c10::intrusive_ptr<c10d::Work>> running;
      try {
        running.push_back(StartSum(data.first(half), type));
        if (half < data.size()) running.push_back(StartSum(data.subspan(half), type));
        for (const auto& work : running) work->wait();
      } catch (...) {
        Interrupt();  // both halves use the caller's memory, so both must end
        for (const auto& work : running) WaitWithoutThrowing(*work);
        throw;
      }
      return Status();
    });
  }

  template <typename T>
  c10::intrusive_ptr<c10d::Work> StartSum(std::span<T> data, at::ScalarType type) {
    std::vector<at::Tensor> tensors = {
        at::from_blob(data.data(), {static_cast<int64_t>(data.size())}, type)};
    return group_->allreduce(tensors);
  }

  static void WaitWithoutThrowing(c10d::Work& work) {
    try {
      work.wait();
    } catch (const std::exception&) {  // the other half's failure is already being reported
    }
  }

  // Starts an operation and waits for it.
  template <typename Start>
  Status Operate(const char* what, Start start) {
    return Guarded(ErrorCode::kLostPeer, what, [&] {
      start()->wait();
      return Status();
    });
  }

  Status Attempt(const std::shared_ptr<RendezvousStore>& store, const std::string& prefix,
                 TimePoint deadline, milliseconds patience) {
    LONGSTRIDE_ASSIGN_OR_RETURN(const Endpoint own, Listen(options_.address));
    LONGSTRIDE_ASSIGN_OR_RETURN(const std::set<Endpoint> peers,
                                Meet(*store, prefix, own, deadline));
    return Guarded(ErrorCode::kTransient, "connecting to the other members", [&] {
      const milliseconds timeout = std::min(Until(deadline), patience);
      auto group_options = c10d::ProcessGroupGloo::Options::create(timeout);
      group_options->devices = {device_};
      group_options->threads = 2;  // the two halves of an all-reduce
      group_ = c10::make_intrusive<c10d::ProcessGroupGloo>(
          c10::make_intrusive<C10dStore>(store, prefix, timeout), options_.rank, options_.size,
          group_options);
      {
        const std::lock_guard lock(mutex_);
        sockets_ = ConnectionsOf(own, peers);
        if (sockets_.size() + 1 < static_cast<size_t>(options_.size)) {
          return Status(BugError("Gloo's sockets were not found, so it could not be interrupted"));
        }
      }
      group_->barrier()->wait();  // the connections of all members stand, or all try again
      group_->setTimeout(kGlooTimeout);
      return Status();
    });
  }

  // Opens the listener that peers connect to, and finds out its end point.
  Result<Endpoint> Listen(const std::string& address) {
    static std::mutex one_at_a_time;  // or two members in one process could take each other's
    const std::lock_guard lock(one_at_a_time);
    const std::set<Endpoint> before = Listeners();
    const Status status = Guarded(ErrorCode::kUser, "listening for the other members", [&] {
      device_ = c10d::ProcessGroupGloo::createDeviceForHostname(address, false);
      return Status();
    });
    LONGSTRIDE_RETURN_IF_ERROR(status);
    for (const Endpoint& listener : Listeners()) {
      if (!before.contains(listener)) return listener;
    }
    return BugError("Gloo's listener was not found");
  }

  // Tells the others where this member listens and waits until all have told. So the attempt starts
  // at the same moment everywhere, however late one of them came.
  Result<std::set<Endpoint>> Meet(RendezvousStore& store, const std::string& prefix,
                                  const Endpoint& own, TimePoint deadline) const {
    const std::string value = own.address + " " + std::to_string(own.port);
    LONGSTRIDE_RETURN_IF_ERROR(store.Set(Format("%smember/%d", prefix.c_str(), options_.rank),
                                         {value.begin(), value.end()}));
    std::set<Endpoint> peers;
    for (int r = 0; r < options_.size; ++r) {
      if (r == options_.rank) continue;
      auto told = store.Get(Format("%smember/%d", prefix.c_str(), r), Until(deadline));
      if (!told.ok()) {
        return Error{told.error().code,
                     Format("waiting for rank %d to connect: %s", r, told.error().message.c_str())};
      }
      const std::string text(told->begin(), told->end());
      const size_t space = text.find(' ');
      if (space == std::string::npos) return BugError("rank's end point is not one: " + text);
      peers.insert({text.substr(0, space),
                    static_cast<uint16_t>(std::strtoul(text.c_str() + space, nullptr, 10))});
    }
    return peers;
  }

  const GlooOptions options_;
  std::shared_ptr<gloo::transport::Device> device_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
  std::mutex mutex_;
  std::vector<SocketId> sockets_;  // guarded by mutex_
  uint64_t bytes_moved_ = 0;       // guarded by mutex_
};

}  // namespace

Result<std::unique_ptr<Collective>> MakeGlooCollective(const GlooOptions& options,
                                                       std::shared_ptr<RendezvousStore> store) {
  std::signal(SIGPIPE, SIG_IGN);  // Gloo writes to sockets whose peer may be gone
  return MakeThreadedCollective(
      {options.rank, options.size, options.connect_timeout, options.timeout},
      std::make_unique<GlooBackend>(options), std::move(store));
}

}  // namespace longstride
