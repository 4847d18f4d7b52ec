#include "controller/kube/leader_elector.h"

#include <gmock/gmock.h>

#include <condition_variable>
#include <future>
#include <mutex>
#include <vector>

#include "tests/controller/kube/kube_testing.h"

namespace longstride::kube {
namespace {

// A replica that writes down when it leads.
class Replica {
 public:
  Replica(FakeApiServer& server, const Clock& clock, const std::string& identity)
      : client_(server.MakeClient(clock)) {
    LeaseOptions options;
    options.key = {"ns", "leader"};
    options.identity = identity;
    // As 15/10/2 s, 20 times faster.
    options.lease_duration = std::chrono::milliseconds(1000);
    options.renew_deadline = std::chrono::milliseconds(660);
    options.retry_period = std::chrono::milliseconds(100);
    LeaderCallbacks callbacks;
    callbacks.lead = [this](int64_t term, const std::stop_token& stop) { Lead(term, stop); };
    elector_ = std::make_unique<LeaderElector>(*client_, options, callbacks, clock);
  }

  // Waits until it has begun to lead for the `n`th time; the term.
  std::optional<int64_t> AwaitTerm(size_t n) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kLimit, [&] { return terms_.size() >= n; })) return std::nullopt;
    return terms_[n - 1];
  }
  bool AwaitNotLeading() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kLimit, [&] { return !in_scope_; });
  }
  void Resign() {
    const std::lock_guard lock(mutex_);
    resign_ = true;
    changed_.notify_all();
  }
  LeaderElector& elector() { return *elector_; }

 private:
  void Lead(int64_t term, const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    terms_.push_back(term);
    in_scope_ = true;
    changed_.notify_all();
    changed_.wait(lock, stop, [&] { return resign_; });
    resign_ = false;
    in_scope_ = false;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<int64_t> terms_;
  bool in_scope_ = false;
  bool resign_ = false;
  std::unique_ptr<Client> client_;
  std::unique_ptr<LeaderElector> elector_;
};

class LeaderElectorTest : public FakeApiTest {};

TEST_F(LeaderElectorTest, AStoppedLeaderReleasesTheLeaseToTheOther) {
  Replica a(*server_, clock_, "a");
  const auto first = a.AwaitTerm(1);
  ASSERT_TRUE(first);
  Replica b(*server_, clock_, "b");
  a.elector().Stop();
  EXPECT_TRUE(a.AwaitNotLeading());
  EXPECT_FALSE(a.elector().leading());
  EXPECT_EQ(b.AwaitTerm(1), *first + 1);
  EXPECT_EQ(b.elector().holder(), "b");
}

TEST_F(LeaderElectorTest, AnOutageEndsLeadershipNotTheCandidate) {
  Replica a(*server_, clock_, "a");
  const auto first = a.AwaitTerm(1);
  ASSERT_TRUE(first);
  server_->Pause();
  EXPECT_TRUE(a.AwaitNotLeading());
  server_->Resume();
  const auto second = a.AwaitTerm(2);
  ASSERT_TRUE(second);
  EXPECT_GT(*second, *first);
}

TEST_F(LeaderElectorTest, AServerThatDoesNotAnswerEndsLeadershipToo) {
  Replica a(*server_, clock_, "a");
  ASSERT_TRUE(a.AwaitTerm(1));
  server_->AddFault({.path_contains = "/leases", .times = 1, .delay = std::chrono::hours(1)});
  EXPECT_TRUE(a.AwaitNotLeading());
  EXPECT_TRUE(a.AwaitTerm(2));
}

TEST_F(LeaderElectorTest, ALostLeaderIsReplacedByTheOther) {
  Replica a(*server_, clock_, "a");
  const auto first = a.AwaitTerm(1);
  ASSERT_TRUE(first);
  Replica b(*server_, clock_, "b");
  // No write of a's comes through any more, so b sees its lease grow old.
  server_->AddFault(
      {.method = "PUT", .body_contains = R"("holderIdentity":"a")", .times = -1, .status = 500});
  EXPECT_EQ(b.AwaitTerm(1), *first + 1);
  EXPECT_TRUE(a.AwaitNotLeading());
}

TEST_F(LeaderElectorTest, ALeaderThatReturnsResignsAndStandsAgain) {
  Replica a(*server_, clock_, "a");
  const auto first = a.AwaitTerm(1);
  ASSERT_TRUE(first);
  a.Resign();
  EXPECT_EQ(a.AwaitTerm(2), *first + 1);
}

TEST_F(LeaderElectorTest, AScopeThatDoesNotEndIsReported) {
  std::promise<void> let_go;
  std::promise<void> began;
  std::promise<void> stuck;
  LeaseOptions options;
  options.key = {"ns", "leader"};
  options.identity = "a";
  LeaderCallbacks callbacks;
  callbacks.lead = [&](int64_t, const std::stop_token&) {
    began.set_value();
    let_go.get_future().wait();
  };
  callbacks.stuck = [&] {
    stuck.set_value();
    let_go.set_value();
  };
  callbacks.stop_limit = std::chrono::milliseconds(10);
  LeaderElector elector(*client_, options, callbacks, clock_);
  ASSERT_EQ(began.get_future().wait_for(kLimit), std::future_status::ready);
  elector.Stop();
  EXPECT_EQ(stuck.get_future().wait_for(kLimit), std::future_status::ready);
}

}  // namespace
}  // namespace longstride::kube
