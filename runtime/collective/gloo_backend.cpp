// Debian's Gloo headers are only parsed, for the types that c10d's header names; the Gloo that runs
// is the one inside libtorch_cpu. Linking another beside it would rebind symbols, so nothing of
// gloo:: is called here.
#define USE_C10D_GLOO
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <set>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "core/base/format.h"
#include "runtime/collective/c10d_store.h"
#include "runtime/collective/messages.h"
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

class GlooBackend final : public OperationBackend, private Messenger {
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

  Status AllReduce(std::span<float> data) override { return AllReduceSum(*this, data); }
  Status AllReduce(std::span<double> data) override { return AllReduceSum(*this, data); }
  Status AllGather(std::span<const std::byte> mine, std::span<std::byte> all) override {
    return longstride::AllGather(*this, mine, all);
  }
  Status AllToAll(std::span<const std::byte> send, std::span<std::byte> receive) override {
    return longstride::AllToAll(*this, send, receive);
  }
  Status Broadcast(std::span<std::byte> data, int root) override {
    return longstride::Broadcast(*this, data, root);
  }
  Status Send(std::span<const std::byte> data, int to) override {
    return longstride::Send(*this, data, to);
  }
  Status Receive(std::span<std::byte> data, int from) override {
    return longstride::Receive(*this, data, from);
  }
  Status Barrier() override { return longstride::Barrier(*this); }

  // Shutting the sockets down tells the peers; but Gloo does not wake who waits for a message that
  // has come in part.
  void Interrupt() override {
    const std::lock_guard lock(mutex_);
    interrupted_ = true;
    ShutdownAll(sockets_);
    for (c10d::Work* work : running_) work->abort();
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

  uint64_t BytesMoved() override {
    const std::lock_guard lock(mutex_);
    return CheckVitals(sockets_).bytes_moved;
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
  class GlooTransfer final : public Transfer {
   public:
    GlooTransfer(GlooBackend& backend, c10::intrusive_ptr<c10d::Work> work)
        : backend_(backend), work_(std::move(work)) {
      const std::lock_guard lock(backend_.mutex_);
      backend_.running_.insert(work_.get());
      if (backend_.interrupted_) work_->abort();
    }
    ~GlooTransfer() override {
      const std::lock_guard lock(backend_.mutex_);
      backend_.running_.erase(work_.get());
    }
    Status Wait() override {
      return Guarded(ErrorCode::kLostPeer, "waiting for a peer", [&] {
        if (work_->wait(backend_.patience_)) return Status();
        return Status(LostPeerError("a transfer was given up"));
      });
    }

   private:
    GlooBackend& backend_;
    const c10::intrusive_ptr<c10d::Work> work_;
  };

  int rank() const override { return options_.rank; }
  int size() const override { return options_.size; }

  Result<std::unique_ptr<Transfer>> StartSend(std::span<const std::byte> data, int to) override {
    // Tensors know no const; what is sent is only read.
    const std::span<std::byte> bytes(const_cast<std::byte*>(data.data()), data.size());
    return Start("sending to a peer", bytes,
                 [&](auto& tensors) { return group_->send(tensors, to, 0); });
  }
  Result<std::unique_ptr<Transfer>> StartReceive(std::span<std::byte> data, int from) override {
    return Start("receiving from a peer", data,
                 [&](auto& tensors) { return group_->recv(tensors, from, 0); });
  }

  template <typename Call>
  Result<std::unique_ptr<Transfer>> Start(const char* what, std::span<std::byte> bytes, Call call) {
    std::unique_ptr<Transfer> transfer;
    LONGSTRIDE_RETURN_IF_ERROR(Guarded(ErrorCode::kLostPeer, what, [&] {
      std::vector<at::Tensor> tensors = {
          at::from_blob(bytes.data(), {static_cast<int64_t>(bytes.size())}, at::kByte)};
      transfer = std::make_unique<GlooTransfer>(*this, call(tensors));
      return Status();
    }));
    return transfer;
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
      group_options->threads = 1;  // which messages do not use
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
      patience_ = timeout;
      // The connections of all members stand, or all try again.
      const Status together = longstride::Barrier(*this);
      patience_ = kGlooTimeout;
      if (together.ok()) return Status();
      return Status(TransientError(together.error().message));
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
  milliseconds patience_{};        // with a message
  std::vector<SocketId> sockets_;  // guarded by mutex_
  std::set<c10d::Work*> running_;  // guarded by mutex_
  bool interrupted_ = false;       // guarded by mutex_
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
