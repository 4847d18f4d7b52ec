#include "runtime/collective/single.h"

#include <algorithm>
#include <atomic>

namespace longstride {
namespace {

class SingleCollective final : public Collective {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  Status AllReduceSum(std::span<float>, Purpose) override { return Alive(); }
  Status AllReduceSum(std::span<double>, Purpose) override { return Alive(); }
  Status AllGather(std::span<const std::byte> mine, std::span<std::byte> all, Purpose) override {
    return Copy(mine, all);
  }
  Status AllToAll(std::span<const std::byte> send, std::span<std::byte> receive, Purpose) override {
    return Copy(send, receive);
  }
  Status Broadcast(std::span<std::byte>, int root, Purpose) override {
    return root == 0 ? Alive() : BugError("broadcast: no such root");
  }
  Status Send(std::span<const std::byte>, int, Purpose) override {
    return BugError("send: there is no other member");
  }
  Status Receive(std::span<std::byte>, int, Purpose) override {
    return BugError("receive: there is no other member");
  }
  Status Barrier() override { return Alive(); }
  void SetTimeout(Duration) override {}
  void Abort() override { aborted_ = true; }
  const Traffic& traffic() const override { return traffic_; }

 private:
  Status Alive() const {
    return aborted_ ? Status(LostPeerError("the collective was aborted")) : Status();
  }
  Status Copy(std::span<const std::byte> from, std::span<std::byte> to) {
    if (from.size() != to.size()) return BugError("collective: input and output differ in size");
    LONGSTRIDE_RETURN_IF_ERROR(Alive());
    std::copy(from.begin(), from.end(), to.begin());
    return Status();
  }

  std::atomic<bool> aborted_{false};
  Traffic traffic_;
};

}  // namespace

std::unique_ptr<Collective> MakeSingleCollective() {
  return std::make_unique<SingleCollective>();
}

}  // namespace longstride
