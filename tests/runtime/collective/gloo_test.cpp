#include <sys/socket.h>

#include "tests/runtime/collective/gloo_members.h"

namespace longstride {
namespace {

Members Loopback(int size) {
  return MakeGlooMembers(size);
}

INSTANTIATE_TEST_SUITE_P(, CollectiveContract,
                         testing::Values(ContractCase{"Gloo", Loopback, 1},
                                         ContractCase{"Gloo", Loopback, 2},
                                         ContractCase{"Gloo", Loopback, 3},
                                         ContractCase{"Gloo", Loopback, 4},
                                         ContractCase{"Gloo", Loopback, 5}),
                         ContractName);

TEST(GlooCollective, WorksOverIpv6) {
  const Members members = MakeGlooMembers(2, "::1");
  RunMembers(members, [](Collective& c) {
    std::vector<float> data = {1.0f};
    const Status status = c.AllReduceSum(std::span<float>(data), Purpose::kModel);
    ASSERT_TRUE(status.ok()) << status.error().message;
    EXPECT_EQ(data[0], 2.0f);
  });
}

TEST(GlooCollective, AnAddressOfAnotherMachineIsTheUsersFault) {
  const ScratchFolder folder;
  const auto made = MakeGlooCollective(LoopbackOptions(0, 2, "192.0.2.1"),
                                       std::make_shared<FileStore>(folder.path()));
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, ErrorCode::kUser);
  EXPECT_NE(made.error().message.find("192.0.2.1"), std::string::npos) << made.error().message;
}

TEST(GlooCollective, AMemberThatNeverComesIsNamedWhenTimeIsUp) {
  const ScratchFolder folder;
  GlooOptions options = LoopbackOptions(0, 3);
  options.connect_timeout = std::chrono::milliseconds(50);
  const auto made = MakeGlooCollective(options, std::make_shared<FileStore>(folder.path()));
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, ErrorCode::kTransient);
  EXPECT_NE(made.error().message.find("rank 1"), std::string::npos) << made.error().message;
}

// Fails the first attempt of one member after all have met.
class StoreThatFailsOnce final : public RendezvousStore {
 public:
  explicit StoreThatFailsOnce(std::shared_ptr<RendezvousStore> store) : store_(std::move(store)) {}
  Status Set(const std::string& key, const std::vector<uint8_t>& value) override {
    if (key.starts_with("gloo/0/") && key.find("member") == std::string::npos) {
      return TransientError("refused");
    }
    return store_->Set(key, value);
  }
  Result<std::vector<uint8_t>> Get(const std::string& key, Duration timeout) override {
    return store_->Get(key, timeout);
  }

 private:
  std::shared_ptr<RendezvousStore> store_;
};

TEST(GlooCollective, AllMembersTryAgainWhenOneCouldNotConnect) {
  const ScratchFolder folder;
  const auto good = std::make_shared<FileStore>(folder.path());
  const auto bad = std::make_shared<StoreThatFailsOnce>(good);
  std::vector<std::thread> threads;
  for (int r = 0; r < 3; ++r) {
    threads.emplace_back([&, r] {
      GlooOptions options = LoopbackOptions(r, 3);
      options.connect_timeout = std::chrono::seconds(20);
      std::shared_ptr<RendezvousStore> store = good;
      if (r == 1) store = bad;
      auto made = MakeGlooCollective(options, store);
      ASSERT_TRUE(made.ok()) << made.error().message;
      EXPECT_TRUE((*made)->Barrier().ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace longstride
