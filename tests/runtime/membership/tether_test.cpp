// Tethers over loopback, with short times. What has to happen is waited for; nothing is said about
// how long it takes.
#include "runtime/membership/tether.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

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

TEST(Tether, AGuestThatCameWhileNoDescriptorWasLeftIsAnsweredOnceOneIs) {
  const End host;
  const int guest = socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_GE(guest, 0);
  const int lowest_free = dup(guest);
  ASSERT_GE(lowest_free, 0);
  close(lowest_free);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none_left{static_cast<rlim_t>(lowest_free), before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none_left), 0);

  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(host.AsMember(0).tether_port));
  const int connected = connect(guest, reinterpret_cast<sockaddr*>(&address), sizeof address);
  char byte = 'p';
  const ssize_t sent = send(guest, &byte, 1, MSG_NOSIGNAL);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(connected, 0);
  EXPECT_EQ(sent, 1);
  EXPECT_EQ(recv(guest, &byte, 1, 0), 1);
  close(guest);
}

TEST(Tether, AnAddressOfAnotherMachineIsTheUsersFault) {
  const auto started = Tether::Start("192.0.2.1", [] {});
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().code, ErrorCode::kUser);
}

}  // namespace
}  // namespace longstride
