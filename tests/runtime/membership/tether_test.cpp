// Tethers over loopback, with short times. What has to happen is waited for; nothing is said about
// how long it takes.
#include "runtime/membership/tether.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "tests/controller/coordinator/samples.h"

namespace longstride {
namespace {

constexpr TetherOptions kQuick{std::chrono::milliseconds(20), std::chrono::milliseconds(400)};

// One end, and what it says.
class End {
 public:
  explicit End(const std::string& address = "127.0.0.1") {
    auto started = Tether::Start(
        address,
        [this] {
          const std::lock_guard lock(mutex_);
          changed_.notify_all();
        },
        kQuick);
    if (!started.ok()) throw std::runtime_error(started.error().message);
    tether_ = std::move(*started);
  }
  ~End() { tether_->Stop(); }

  Member AsMember(int64_t index, const std::string& address = "127.0.0.1") const {
    return {MakeJoin(index).worker, address, tether_->port()};
  }
  void Watch(int64_t counter, int64_t rank, std::vector<Member> members) {
    Generation generation;
    generation.id = {1, counter};
    generation.rank = rank;
    generation.members = std::move(members);
    tether_->Watch(generation);
  }
  void Await(int64_t counter, const std::vector<int64_t>& silent) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return tether_->Silent({1, counter}) == silent; });
  }
  std::vector<int64_t> Silent(int64_t counter) const { return tether_->Silent({1, counter}); }
  Tether& tether() { return *tether_; }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::unique_ptr<Tether> tether_;
};

TEST(Tether, APeerThatStopsAnsweringIsSilentAndTheOthersAreNot) {
  End a, b, c;
  const std::vector<Member> members = {a.AsMember(0), b.AsMember(1), c.AsMember(2)};
  a.Watch(1, 0, members);
  c.tether().Stop();  // its kernel still accepts
  a.Await(1, {2});
}

TEST(Tether, SilenceIsTakenIntoTheNextGenerationUnderTheNewRank) {
  End a, b, c;
  a.Watch(1, 0, {a.AsMember(0), b.AsMember(1), c.AsMember(2)});
  c.tether().Stop();
  a.Await(1, {2});
  a.Watch(2, 0, {a.AsMember(0), c.AsMember(2)});
  a.Await(2, {1});
  EXPECT_TRUE(a.Silent(1).empty()) << "not of the generation that is watched";
}

TEST(Tether, ReplacementsAndMembersWithoutATetherAreNotSilent) {
  End a, b;
  auto c = std::make_unique<End>();
  a.Watch(1, 0, {a.AsMember(0), c->AsMember(1)});
  const Member gone = c->AsMember(1);
  c.reset();
  a.Await(1, {1});
  a.Watch(2, 0, {a.AsMember(0), b.AsMember(1), gone, {MakeJoin(3).worker, "127.0.0.1", 0}});
  a.Await(2, {2});
}

TEST(Tether, WorksOverIpv6) {
  End a("::1"), b("::1");
  a.Watch(1, 0, {a.AsMember(0, "::1"), b.AsMember(1, "::1")});
  b.tether().Stop();
  a.Await(1, {1});
}

TEST(Tether, AnAddressOfAnotherMachineIsTheUsersFault) {
  const auto started = Tether::Start("192.0.2.1", [] {});
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().code, ErrorCode::kUser);
}

}  // namespace
}  // namespace longstride
