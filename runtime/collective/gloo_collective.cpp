// The Collective over Gloo: hands each operation to a thread that owns the backend, and waits.
#include <cstring>
#include <optional>

#include "core/base/format.h"
#include "runtime/collective/collective.h"
#include "runtime/collective/gloo_backend.h"
#include "runtime/collective/operation_thread.h"
#include "runtime/collective/single.h"
#include "runtime/collective/traffic.h"

namespace longstride {
namespace {

// Shutting the sockets down wakes an operation in about 10 ms; this is for a machine that is busy.
constexpr Duration kInterruptGrace = std::chrono::seconds(3);

class GlooCollective final : public Collective {
 public:
  explicit GlooCollective(const GlooOptions& options)
      : rank_(options.rank),
        size_(options.size),
        timeout_(options.timeout),
        backend_(MakeGlooBackend()),
        thread_([backend = backend_] { backend->Interrupt(); },
                [backend = backend_] { backend->Release(); }, kInterruptGrace) {}

  Status Connect(const GlooOptions& options, std::shared_ptr<RendezvousStore> store) {
    const TimePoint deadline = std::chrono::steady_clock::now() + options.connect_timeout;
    // Connect keeps to the deadline itself, and knows better what it waited for.
    return thread_.Run([backend = backend_, options, store = std::move(store),
                        deadline] { return backend->Connect(options, store, deadline); },
                       deadline + kInterruptGrace);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  Status AllReduceSum(std::span<float> data, Purpose purpose) override {
    return AllReduce(std::as_writable_bytes(data), GlooBackend::Element::kFloat, purpose);
  }
  Status AllReduceSum(std::span<double> data, Purpose purpose) override {
    return AllReduce(std::as_writable_bytes(data), GlooBackend::Element::kDouble, purpose);
  }

  Status AllGather(std::span<const std::byte> mine, std::span<std::byte> all,
                   Purpose purpose) override {
    if (all.size() != mine.size() * size_) {
      return BugError("all-gather: the output is not size() times the input");
    }
    return Operate(mine, all, AllGatherBytes(static_cast<int64_t>(mine.size()), size_), purpose,
                   [](GlooBackend& backend) { return backend.AllGather(); });
  }

  Status AllToAll(std::span<const std::byte> send, std::span<std::byte> receive,
                  Purpose purpose) override {
    if (send.size() != receive.size() || send.size() % size_ != 0) {
      return BugError("all-to-all: parts must be equal and as many as members");
    }
    return Operate(send, receive, AllToAllBytes(static_cast<int64_t>(send.size()), size_), purpose,
                   [](GlooBackend& backend) { return backend.AllToAll(); });
  }

  Status Broadcast(std::span<std::byte> data, int root, Purpose purpose) override {
    if (root < 0 || root >= size_) return BugError("broadcast: no such root");
    const WireBytes bytes = BroadcastBytes(static_cast<int64_t>(data.size()), rank_, size_, root);
    return Operate(data, data, bytes, purpose,
                   [root](GlooBackend& backend) { return backend.Broadcast(root); });
  }

  Status Barrier() override {
    return Run([](GlooBackend& backend) { return backend.Barrier(); });
  }

  void SetTimeout(Duration timeout) override { timeout_ = timeout; }
  void Abort() override { thread_.Abort(); }
  const Traffic& traffic() const override { return traffic_; }

 private:
  Status AllReduce(std::span<std::byte> data, GlooBackend::Element element, Purpose purpose) {
    return Operate(data, data, AllReduceBytes(static_cast<int64_t>(data.size()), size_), purpose,
                   [element](GlooBackend& backend) { return backend.AllReduce(element); });
  }

  template <typename Operation>
  Status Operate(std::span<const std::byte> input, std::span<std::byte> output,
                 const WireBytes& bytes, Purpose purpose, Operation operation) {
    if (dead_) return *dead_;
    if (output.empty()) return Status();
    std::memcpy(backend_->Input(input.size()).data(), input.data(), input.size());
    LONGSTRIDE_RETURN_IF_ERROR(Run(operation));
    std::memcpy(output.data(), backend_->Output().data(), output.size());
    Count(bytes, purpose, traffic_);
    return Status();
  }

  template <typename Operation>
  Status Run(Operation operation) {
    const TimePoint deadline = std::chrono::steady_clock::now() + timeout_;
    const Status status =
        thread_.Run([backend = backend_, operation] { return operation(*backend); }, deadline);
    if (!status.ok()) dead_ = status.error();
    return status;
  }

  const int rank_;
  const int size_;
  Duration timeout_;
  Traffic traffic_;
  std::optional<Error> dead_;  // an abandoned operation may still use the backend's buffers
  const std::shared_ptr<GlooBackend> backend_;
  OperationThread thread_;
};

}  // namespace

Result<std::unique_ptr<Collective>> MakeGlooCollective(const GlooOptions& options,
                                                       std::shared_ptr<RendezvousStore> store) {
  if (options.size < 1 || options.rank < 0 || options.rank >= options.size) {
    return BugError(Format("rank %d of %d members", options.rank, options.size));
  }
  if (options.size == 1) return MakeSingleCollective();
  auto collective = std::make_unique<GlooCollective>(options);
  LONGSTRIDE_RETURN_IF_ERROR(collective->Connect(options, std::move(store)));
  return std::unique_ptr<Collective>(std::move(collective));
}

}  // namespace longstride
