#include "runtime/collective/nccl.h"

#define USE_C10D_NCCL
#include <ATen/ATen.h>
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAFunctions.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include "runtime/collective/c10d_store.h"
#include "runtime/collective/operation_backend.h"
#include "runtime/collective/threaded_collective.h"

namespace longstride {
namespace {

// The callers' deadlines decide; NCCL's own only bounds an operation that was given up.
constexpr std::chrono::milliseconds kNcclTimeout = std::chrono::hours(24);

class NcclBackend final : public OperationBackend {
 public:
  explicit NcclBackend(const NcclOptions& options) : options_(options) {}

  Status Connect(std::shared_ptr<RendezvousStore> store, TimePoint deadline) override {
    if (options_.device < 0 || options_.device >= c10::cuda::device_count()) {
      return ResourceError(Format("there is no CUDA device %d: %d found", options_.device,
                                  static_cast<int>(c10::cuda::device_count())));
    }
    return Guarded(ErrorCode::kTransient, "connecting to the other members", [&] {
      c10::cuda::set_device(static_cast<c10::DeviceIndex>(options_.device));
      const auto group_options = c10d::ProcessGroupNCCL::Options::create();
      group_options->timeout = kNcclTimeout;
      const auto group = c10::make_intrusive<c10d::ProcessGroupNCCL>(
          c10::make_intrusive<C10dStore>(std::move(store), "nccl/", Until(deadline)), options_.rank,
          options_.size, group_options);
      {
        const std::lock_guard lock(mutex_);
        group_ = group;
      }
      // The first operation makes the connections.
      std::vector<at::Tensor> tensors = {OnDevice(sizeof(float)).zero_()};
      group->allreduce(tensors)->wait();
      at::cuda::getCurrentCUDAStream().synchronize();
      return Status();
    });
  }

  Status AllReduce(std::span<float> data) override { return Sum(data, at::kFloat); }
  Status AllReduce(std::span<double> data) override { return Sum(data, at::kDouble); }

  Status AllGather(std::span<const std::byte> mine, std::span<std::byte> all) override {
    return Operate("all-gather", [&] {
      at::Tensor input = ToDevice(mine), output = OnDevice(all.size());
      group_->all_gather_single(output, input)->wait();
      Host(all).copy_(output);
    });
  }

  Status AllToAll(std::span<const std::byte> send, std::span<std::byte> receive) override {
    return Operate("all-to-all", [&] {
      at::Tensor input = ToDevice(send), output = OnDevice(receive.size());
      std::vector<int64_t> equal_parts;
      group_->all_to_all_single(output, input, equal_parts, equal_parts)->wait();
      Host(receive).copy_(output);
    });
  }

  Status Broadcast(std::span<std::byte> data, int root) override {
    return Operate("broadcast", [&] {
      std::vector<at::Tensor> tensors = {ToDevice(data)};
      c10d::BroadcastOptions options;
      options.rootRank = root;
      group_->broadcast(tensors, options)->wait();
      Host(data).copy_(tensors[0]);
    });
  }

  Status Send(std::span<const std::byte> data, int to) override {
    return Operate("send", [&] {
      std::vector<at::Tensor> tensors = {ToDevice(data)};
      group_->send(tensors, to, 0)->wait();
    });
  }

  Status Receive(std::span<std::byte> data, int from) override {
    return Operate("receive", [&] {
      std::vector<at::Tensor> tensors = {OnDevice(data.size())};
      group_->recv(tensors, from, 0)->wait();
      Host(data).copy_(tensors[0]);
    });
  }

  Status Barrier() override {
    return Operate("barrier", [&] {
      std::vector<at::Tensor> tensors = {OnDevice(1).zero_()};
      group_->allreduce(tensors)->wait();
    });
  }

  void Interrupt() override {
    interrupted_ = true;
    const auto group = Group();
    if (!group) return;
    (void)Guarded(ErrorCode::kBug, "abort", [&] {
      group->abort();
      return Status();
    });
  }

  // NCCL reports a lost peer beside the operation, which goes on waiting.
  bool IsHopeless() override {
    const auto group = Group();
    return group && group->getError() != c10d::ErrorType::SUCCESS;
  }

  void Release() override {
    c10::intrusive_ptr<c10d::ProcessGroupNCCL> group;
    const std::lock_guard lock(mutex_);
    group_.swap(group);
  }

 private:
  c10::intrusive_ptr<c10d::ProcessGroupNCCL> Group() {
    const std::lock_guard lock(mutex_);
    return group_;
  }

  static at::Tensor Host(std::span<const std::byte> bytes, at::ScalarType type = at::kByte) {
    // Tensors know no const; inputs are only read.
    const auto count = static_cast<int64_t>(bytes.size() / c10::elementSize(type));
    return at::from_blob(const_cast<std::byte*>(bytes.data()), {count}, type);
  }
  at::TensorOptions Device(at::ScalarType type = at::kByte) const {
    return at::device(at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(options_.device)))
        .dtype(type);
  }
  at::Tensor OnDevice(size_t bytes) const {
    return at::empty({static_cast<int64_t>(bytes)}, Device());
  }
  at::Tensor ToDevice(std::span<const std::byte> bytes) const { return Host(bytes).to(Device()); }

  template <typename T>
  Status Sum(std::span<T> data, at::ScalarType type) {
    return Operate("all-reduce", [&] {
      at::Tensor host = Host(std::as_bytes(data), type);
      std::vector<at::Tensor> tensors = {host.to(Device(type))};
      group_->allreduce(tensors)->wait();
      host.copy_(tensors[0]);
    });
  }

  // wait() only orders streams; the copy back or the synchronization here is what blocks.
  template <typename Body>
  Status Operate(const char* what, Body body) {
    return Guarded(ErrorCode::kLostPeer, what, [&] {
      body();
      at::cuda::getCurrentCUDAStream().synchronize();
      if (interrupted_) return Status(LostPeerError(Format("%s: interrupted", what)));
      return Status();
    });
  }

  const NcclOptions options_;
  std::atomic<bool> interrupted_{false};
  std::mutex mutex_;
  c10::intrusive_ptr<c10d::ProcessGroupNCCL> group_;  // set and cleared under mutex_
};

}  // namespace

std::string NcclVersion() {
  int version = 0;
  if (ncclGetVersion(&version) != ncclSuccess) return "";
  return Format("%d.%d.%d", version / 10000, version / 100 % 100, version % 100);
}

Result<std::unique_ptr<Collective>> MakeNcclCollective(const NcclOptions& options,
                                                       std::shared_ptr<RendezvousStore> store) {
  // c10d's own watchdogs end the process on a lost peer; here the caller forms a new generation
  // instead.
  setenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0", 0);
  setenv("TORCH_NCCL_ENABLE_MONITORING", "0", 0);
  return MakeThreadedCollective(
      {options.rank, options.size, options.connect_timeout, options.timeout},
      std::make_unique<NcclBackend>(options), std::move(store));
}

}  // namespace longstride
