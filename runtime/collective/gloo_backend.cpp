#include "runtime/collective/gloo_backend.h"

// Debian's Gloo headers are only parsed, for the types that c10d's header names; the Gloo that runs is the
// one inside libtorch_cpu. Linking another beside it would rebind symbols, so nothing of gloo:: is
// called here.
#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>

#include "core/base/format.h"
#include "core/base/log.h"
#include "runtime/collective/sockets.h"

namespace longstride {
namespace {

using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

// The callers' deadlines decide; Gloo's own only bounds an operation that was given up.
constexpr milliseconds kGlooTimeout = std::chrono::hours(24);
// Connecting takes milliseconds once all members are there, so a third of the time left is plenty.
constexpr int kConnectAttempts = 3;

milliseconds Until(TimePoint deadline) {
  const auto left = std::chrono::ceil<milliseconds>(deadline - SteadyClock::now());
  return std::max(left, milliseconds(1));
}

// Our store as c10d and Gloo want to see it. Every attempt to connect has keys of its own, so a value
// that was fetched once never changes.
class StoreAdapter final : public c10d::Store {
 public:
  StoreAdapter(std::shared_ptr<RendezvousStore> store, std::string prefix, milliseconds timeout)
      : c10d::Store(timeout), store_(std::move(store)), prefix_(std::move(prefix)) {}

  c10::intrusive_ptr<Store> clone() override {
    return c10::make_intrusive<StoreAdapter>(store_, prefix_, timeout_);
  }
  void set(const std::string& key, const std::vector<uint8_t>& value) override {
    const Status status = store_->Set(prefix_ + key, value);
    TORCH_CHECK(status.ok(), status.error().message);
  }
  std::vector<uint8_t> get(const std::string& key) override { return Fetch(key, timeout_); }
  void wait(const std::vector<std::string>& keys) override { wait(keys, timeout_); }
  void wait(const std::vector<std::string>& keys, const milliseconds& timeout) override {
    const TimePoint deadline = SteadyClock::now() + timeout;
    for (const std::string& key : keys) Fetch(key, Until(deadline));
  }
  bool check(const std::vector<std::string>& keys) override {
    return std::all_of(keys.begin(), keys.end(), [&](const std::string& key) {
      return fetched_.contains(key) || store_->Get(prefix_ + key, Duration::zero()).ok();
    });
  }
  // Gloo's rendezvous needs none of these.
  int64_t add(const std::string&, int64_t) override { TORCH_CHECK(false, "the store cannot add"); }
  bool deleteKey(const std::string&) override { return false; }
  int64_t getNumKeys() override { TORCH_CHECK(false, "the store cannot count"); }

 private:
  const std::vector<uint8_t>& Fetch(const std::string& key, Duration timeout) {
    auto found = fetched_.find(key);
    if (found == fetched_.end()) {
      auto value = store_->Get(prefix_ + key, timeout);
      TORCH_CHECK(value.ok(), value.error().message);
      found = fetched_.emplace(key, std::move(*value)).first;
    }
    return found->second;
  }

  std::shared_ptr<RendezvousStore> store_;
  std::string prefix_;
  std::map<std::string, std::vector<uint8_t>> fetched_;
};

// The border to c10d: what `body` throws becomes an Error.
template <typename Body>
Status Guarded(ErrorCode code, const char* what, Body body) {
  try {
    return body();
  } catch (const c10::Error& e) {
    return Error{code, Format("%s: %s", what, e.what_without_backtrace())};
  } catch (const std::exception& e) {
    return Error{code, Format("%s: %s", what, e.what())};
  }
}

class Backend final : public GlooBackend {
 public:
  Status Connect(const GlooOptions& options, std::shared_ptr<RendezvousStore> store,
                 TimePoint deadline) override {
    size_ = options.size;
    // Gloo gives up after three refused connections, which a busy peer can cause: so try again, all
    // members together, with new keys and a new listener.
    Status last = Error{ErrorCode::kTransient, "no time to connect to the other members"};
    for (int attempt = 0; SteadyClock::now() < deadline; ++attempt) {
      last = Attempt(options, store, Format("gloo/%d/", attempt), deadline);
      if (last.ok() || last.error().code != ErrorCode::kTransient) break;
      Release();
    }
    return last;
  }

  Status AllReduce(std::span<float> data) override { return Sum(data.data(), data.size(), at::kFloat); }
  Status AllReduce(std::span<double> data) override {
    return Sum(data.data(), data.size(), at::kDouble);
  }

  Status AllGather(std::span<const std::byte> mine, std::span<std::byte> all) override {
    return Operate("all-gather", [&] {
      std::vector<at::Tensor> inputs = {Bytes(mine)};
      std::vector<std::vector<at::Tensor>> outputs(1);
      for (int r = 0; r < size_; ++r) {
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

  Status Barrier() override {
    return Operate("barrier", [&] { return group_->barrier(); });
  }

  void Interrupt() override {
    const std::lock_guard lock(mutex_);
    ShutdownAll(sockets_);
  }

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
    return at::from_blob(const_cast<std::byte*>(bytes.data()),
                         {static_cast<int64_t>(bytes.size())}, at::kByte);
  }

  Status Sum(void* data, size_t count, at::ScalarType type) {
    return Operate("all-reduce", [&] {
      std::vector<at::Tensor> tensors = {
          at::from_blob(data, {static_cast<int64_t>(count)}, type)};
      return group_->allreduce(tensors);
    });
  }

  // Starts an operation and waits for it.
  template <typename Start>
  Status Operate(const char* what, Start start) {
    return Guarded(ErrorCode::kLostPeer, what, [&] {
      start()->wait();
      return Status();
    });
  }

  Status Attempt(const GlooOptions& options, const std::shared_ptr<RendezvousStore>& store,
                 const std::string& prefix, TimePoint deadline) {
    LONGSTRIDE_ASSIGN_OR_RETURN(const Endpoint own, Listen(options.address));
    LONGSTRIDE_ASSIGN_OR_RETURN(const std::set<Endpoint> peers,
                                Meet(options, *store, prefix, own, deadline));
    return Guarded(ErrorCode::kTransient, "connecting to the other members", [&] {
      const auto share = std::chrono::ceil<milliseconds>(options.connect_timeout / kConnectAttempts);
      const milliseconds timeout = std::min(Until(deadline), share);
      auto group_options = c10d::ProcessGroupGloo::Options::create(timeout);
      group_options->devices = {device_};
      group_options->threads = 1;
      group_ = c10::make_intrusive<c10d::ProcessGroupGloo>(
          c10::make_intrusive<StoreAdapter>(store, prefix, timeout), options.rank, options.size,
          group_options);
      {
        const std::lock_guard lock(mutex_);
        sockets_ = ConnectionsOf(own, peers);
        if (sockets_.size() + 1 < static_cast<size_t>(options.size)) {
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
  static Result<std::set<Endpoint>> Meet(const GlooOptions& options, RendezvousStore& store,
                                         const std::string& prefix, const Endpoint& own,
                                         TimePoint deadline) {
    const std::string value = own.address + " " + std::to_string(own.port);
    LONGSTRIDE_RETURN_IF_ERROR(store.Set(Format("%smember/%d", prefix.c_str(), options.rank),
                                         {value.begin(), value.end()}));
    std::set<Endpoint> peers;
    for (int r = 0; r < options.size; ++r) {
      if (r == options.rank) continue;
      auto told = store.Get(Format("%smember/%d", prefix.c_str(), r), Until(deadline));
      if (!told.ok()) {
        return Error{told.error().code, Format("waiting for rank %d to connect: %s", r,
                                               told.error().message.c_str())};
      }
      const std::string text(told->begin(), told->end());
      const size_t space = text.find(' ');
      if (space == std::string::npos) return BugError("rank's end point is not one: " + text);
      peers.insert({text.substr(0, space),
                    static_cast<uint16_t>(std::strtoul(text.c_str() + space, nullptr, 10))});
    }
    return peers;
  }

  int size_ = 1;
  std::shared_ptr<gloo::transport::Device> device_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
  std::mutex mutex_;
  std::vector<SocketId> sockets_;  // guarded by mutex_
  uint64_t bytes_moved_ = 0;       // guarded by mutex_
};

}  // namespace

std::unique_ptr<GlooBackend> MakeGlooBackend() {
  std::signal(SIGPIPE, SIG_IGN);  // Gloo writes to sockets whose peer may be gone
  return std::make_unique<Backend>();
}

}  // namespace longstride
