#include "runtime/collective/threaded_collective.h"

#include "core/base/format.h"
#include "runtime/collective/operation_thread.h"
#include "runtime/collective/single.h"
#include "runtime/collective/traffic.h"

namespace longstride {
namespace {

// An interrupted operation ends in about 10 ms; the rest is for a machine that is busy.
constexpr Duration kInterruptGrace = std::chrono::seconds(10);

class ThreadedCollective final : public Collective {
 public:
  ThreadedCollective(const ThreadedOptions& options, std::unique_ptr<OperationBackend> backend)
      : rank_(options.rank),
        size_(options.size),
        timeout_(options.timeout),
        backend_(std::move(backend)),
        thread_({.interrupt = [b = backend_] { b->Interrupt(); },
                 .release = [b = backend_] { b->Release(); },
                 .is_hopeless = [b = backend_] { return b->IsHopeless(); },
                 .bytes_moved = [b = backend_] { return b->BytesMoved(); }},
                kInterruptGrace) {}

  Status Connect(std::shared_ptr<RendezvousStore> store, Duration timeout) {
    const TimePoint deadline = std::chrono::steady_clock::now() + timeout;
    // The backend keeps to the deadline itself, and knows better what it waited for.
    return thread_.Run([backend = backend_, store = std::move(store),
                        deadline] { return backend->Connect(store, deadline); },
                       timeout + kInterruptGrace, OperationThread::IfStuck::kLeaveBehind);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  Status AllReduceSum(std::span<float> data, Purpose purpose) override {
    return AllReduce(data, purpose);
  }
  Status AllReduceSum(std::span<double> data, Purpose purpose) override {
    return AllReduce(data, purpose);
  }

  Status AllGather(std::span<const std::byte> mine, std::span<std::byte> all,
                   Purpose purpose) override {
    if (all.size() != mine.size() * size_) {
      return BugError("all-gather: the output is not size() times the input");
    }
    const WireBytes bytes = AllGatherBytes(static_cast<int64_t>(mine.size()), size_);
    return Operate(bytes, purpose,
                   [mine, all](OperationBackend& b) { return b.AllGather(mine, all); });
  }

  Status AllToAll(std::span<const std::byte> send, std::span<std::byte> receive,
                  Purpose purpose) override {
    if (send.size() != receive.size() || send.size() % size_ != 0) {
      return BugError("all-to-all: parts must be equal and as many as members");
    }
    const WireBytes bytes = AllToAllBytes(static_cast<int64_t>(send.size()), size_);
    return Operate(bytes, purpose,
                   [send, receive](OperationBackend& b) { return b.AllToAll(send, receive); });
  }

  Status Broadcast(std::span<std::byte> data, int root, Purpose purpose) override {
    if (root < 0 || root >= size_) return BugError("broadcast: no such root");
    const WireBytes bytes = BroadcastBytes(static_cast<int64_t>(data.size()), rank_, size_, root);
    return Operate(bytes, purpose,
                   [data, root](OperationBackend& b) { return b.Broadcast(data, root); });
  }

  Status Send(std::span<const std::byte> data, int to, Purpose purpose) override {
    if (!IsPeer(to)) return BugError("send: no such member");
    return Operate({static_cast<int64_t>(data.size()), 0}, purpose,
                   [data, to](OperationBackend& b) { return b.Send(data, to); });
  }

  Status Receive(std::span<std::byte> data, int from, Purpose purpose) override {
    if (!IsPeer(from)) return BugError("receive: no such member");
    return Operate({0, static_cast<int64_t>(data.size())}, purpose,
                   [data, from](OperationBackend& b) { return b.Receive(data, from); });
  }

  Status Barrier() override {
    return Run([](OperationBackend& b) { return b.Barrier(); },
               OperationThread::IfStuck::kLeaveBehind);
  }

  void SetTimeout(Duration timeout) override { timeout_ = timeout; }
  void Abort() override { thread_.Abort(); }
  const Traffic& traffic() const override { return traffic_; }

 private:
  bool IsPeer(int rank) const { return rank >= 0 && rank < size_ && rank != rank_; }

  template <typename T>
  Status AllReduce(std::span<T> data, Purpose purpose) {
    const WireBytes bytes = AllReduceBytes(static_cast<int64_t>(data.size_bytes()), size_);
    return Operate(bytes, purpose, [data](OperationBackend& b) { return b.AllReduce(data); });
  }

  // An operation on the caller's buffers, which it may not leave behind.
  template <typename Operation>
  Status Operate(const WireBytes& bytes, Purpose purpose, Operation operation) {
    LONGSTRIDE_RETURN_IF_ERROR(Run(operation, OperationThread::IfStuck::kExit));
    Count(bytes, purpose, traffic_);
    return Status();
  }

  template <typename Operation>
  Status Run(Operation operation, OperationThread::IfStuck if_stuck) {
    return thread_.Run([backend = backend_, operation] { return operation(*backend); }, timeout_,
                       if_stuck);
  }

  const int rank_;
  const int size_;
  Duration timeout_;
  Traffic traffic_;
  const std::shared_ptr<OperationBackend> backend_;
  OperationThread thread_;
};

}  // namespace

Result<std::unique_ptr<Collective>> MakeThreadedCollective(
    const ThreadedOptions& options, std::unique_ptr<OperationBackend> backend,
    std::shared_ptr<RendezvousStore> store) {
  if (options.size < 1 || options.rank < 0 || options.rank >= options.size) {
    return BugError(Format("rank %d of %d members", options.rank, options.size));
  }
  if (options.size == 1) return MakeSingleCollective();
  auto collective = std::make_unique<ThreadedCollective>(options, std::move(backend));
  LONGSTRIDE_RETURN_IF_ERROR(collective->Connect(std::move(store), options.connect_timeout));
  return std::unique_ptr<Collective>(std::move(collective));
}

}  // namespace longstride
