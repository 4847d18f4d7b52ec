#include "controller/kube/leader_elector.h"

#include <gmock/gmock.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <future>
#include <mutex>
#include <vector>

#include "controller/kube/stoppable_wait.h"
#include "tests/controller/kube/kube_testing.h"

namespace longstride::kube {
namespace {

const ObjectKey kLease{"ns", "leader"};
// Outlasts whatever holds a thread up, so that terms follow one another as the test says.
constexpr Duration kLongLease = std::chrono::seconds(15);
// For tests in which leadership is to run out.
constexpr Duration kShortLease = std::chrono::seconds(1);

// A replica that writes down when it leads.
class Replica {
 public:
  Replica(FakeApiServer& server, const Clock& clock, const std::string& identity,
          Duration lease = kLongLease)
      : Replica(server.MakeClient(clock), clock, identity, lease) {}
  Replica(std::unique_ptr<Client> client, const Clock& clock, const std::string& identity,
          Duration lease = kLongLease)
      : client_(std::move(client)) {
    LeaseOptions options;
    options.key = kLease;
    options.identity = identity;
    options.lease_duration = lease;
    options.renew_deadline = lease * 2 / 3;
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
  // Waits until it has ceased to lead for the `n`th time; it may lead again by then.
  bool AwaitEnd(size_t n) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kLimit, [&] { return ended_ >= n; });
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
    changed_.notify_all();
    changed_.wait(lock, stop, [&] { return resign_; });
    resign_ = false;
    ++ended_;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<int64_t> terms_;
  size_t ended_ = 0;
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
  EXPECT_TRUE(a.AwaitEnd(1));
  EXPECT_FALSE(a.elector().leading());
  EXPECT_EQ(b.AwaitTerm(1), *first + 1);
  EXPECT_EQ(b.elector().holder(), "b");
}

TEST_F(LeaderElectorTest, AnOutageEndsLeadershipNotTheCandidate) {
  Replica a(*server_, clock_, "a", kShortLease);
  const auto first = a.AwaitTerm(1);
  ASSERT_TRUE(first);
  server_->Pause();
  EXPECT_TRUE(a.AwaitEnd(1));
  server_->Resume();
  const auto second = a.AwaitTerm(2);
  ASSERT_TRUE(second);
  EXPECT_GT(*second, *first);
}

TEST_F(LeaderElectorTest, AServerThatDoesNotAnswerEndsLeadershipToo) {
  Replica a(*server_, clock_, "a", kShortLease);
  ASSERT_TRUE(a.AwaitTerm(1));
  server_->AddFault({.path_contains = "/leases", .times = 1, .delay = std::chrono::hours(1)});
  EXPECT_TRUE(a.AwaitEnd(1));
  EXPECT_TRUE(a.AwaitTerm(2));
}

// A plugin that hangs once it is told to.
class HangingCredentials final : public Credentials {
 public:
  Result<std::string> Authorization(std::stop_token stop, Duration limit) override {
    if (!hangs) return std::string();
    (void)WaitFor(limit, stop);
    return TransientError("no credential within the limit");
  }
  void Invalidate() override {}
  std::atomic<bool> hangs = false;
};

TEST_F(LeaderElectorTest, CredentialsThatDoNotComeEndLeadershipToo) {
  const auto credentials = std::make_shared<HangingCredentials>();
  Replica a(std::make_unique<Client>(server_->MakeTransport(clock_), credentials, ClientOptions(),
                                     clock_),
            clock_, "a", kShortLease);
  ASSERT_TRUE(a.AwaitTerm(1));
  credentials->hangs = true;
  EXPECT_TRUE(a.AwaitEnd(1));
  credentials->hangs = false;
  EXPECT_TRUE(a.AwaitTerm(2));
}

TEST_F(LeaderElectorTest, ALeaseThatIsDeletedBeginsANewTerm) {
  Replica a(*server_, clock_, "a");
  const auto first = a.AwaitTerm(1);
  ASSERT_TRUE(first);
  EXPECT_TRUE(server_->Delete(Leases(), kLease));
  const auto second = a.AwaitTerm(2);
  ASSERT_TRUE(second);
  EXPECT_GT(*second, *first);
}

// The machine's clock, on which time can be made to pass.
class LeapingClock final : public Clock {
 public:
  [[nodiscard]] TimePoint Now() const override { return clock_.Now() + leapt_.load(); }
  [[nodiscard]] double UnixSeconds() const override { return clock_.UnixSeconds(); }
  void Leap(Duration by) { leapt_ = leapt_.load() + by; }

 private:
  const SystemClock clock_{};
  std::atomic<Duration> leapt_{Duration::zero()};
};

// Calls `stall` before it sends the next GET, once it is told to: a process that stood still there.
class StallingTransport final : public HttpTransport {
 public:
  StallingTransport(std::unique_ptr<HttpTransport> transport, std::function<void()> stall)
      : transport_(std::move(transport)), stall_(std::move(stall)) {}
  Result<TransportResponse> Send(const TransportRequest& request, Duration,
                                 std::stop_token stop) override {
    if (request.method == "GET" && stalls.exchange(false)) stall_();
    return transport_->Send(request, kLimit, std::move(stop));
  }
  Result<TransportResponse> Stream(const TransportRequest& request, const LineSink& sink,
                                   Duration deadline, std::stop_token stop) override {
    return transport_->Stream(request, sink, deadline, std::move(stop));
  }
  std::atomic<bool> stalls = false;

 private:
  const std::unique_ptr<HttpTransport> transport_;
  const std::function<void()> stall_;
};

TEST_F(LeaderElectorTest, WhoFindsThatOthersLedMeanwhileBeginsANewTerm) {
  LeapingClock clock;
  const auto transport = std::make_shared<StallingTransport>(server_->MakeTransport(clock), [&] {
    Json lease = *server_->Get(Leases(), kLease);  // another took it and released it
    lease["spec"]["holderIdentity"] = "";
    lease["spec"]["leaseTransitions"] = lease["spec"]["leaseTransitions"].get<int64_t>() + 1;
    (void)server_->Put(Leases(), lease);
    clock.Leap(std::chrono::seconds(20));
  });
  Replica a(std::make_unique<Client>(transport, nullptr, ClientOptions(), clock), clock, "a");
  const auto first = a.AwaitTerm(1);
  ASSERT_TRUE(first);
  transport->stalls = true;
  EXPECT_EQ(a.AwaitTerm(2), *first + 2);
}

TEST_F(LeaderElectorTest, ALostLeaderIsReplacedByTheOther) {
  LeapingClock clock;
  Replica a(*server_, clock, "a");
  const auto first = a.AwaitTerm(1);
  ASSERT_TRUE(first);
  Replica b(*server_, clock, "b");
  ASSERT_TRUE(server_->WaitFor([&] { return b.elector().holder() == "a"; }));
  // No write of a's comes through any more, so b sees its lease grow old.
  server_->AddFault(
      {.method = "PUT", .body_contains = R"("holderIdentity":"a")", .times = -1, .status = 500});
  // Meanwhile b looks, too: if it were still to see a's last renewal, it would wait in earnest.
  ASSERT_TRUE(server_->WaitFor([&] { return server_->counts().by_verb["refused"] >= 3; }));
  clock.Leap(std::chrono::seconds(10));
  EXPECT_TRUE(a.AwaitEnd(1));
  clock.Leap(std::chrono::seconds(5));
  EXPECT_EQ(b.AwaitTerm(1), *first + 1);
}

TEST_F(LeaderElectorTest, ALeaderThatReturnsResignsAndStandsAgain) {
  Replica a(*server_, clock_, "a");
  const auto first = a.AwaitTerm(1);
  ASSERT_TRUE(first);
  a.Resign();
  EXPECT_EQ(a.AwaitTerm(2), *first + 1);
}

class StuckScopeTest : public LeaderElectorTest,
                       public ::testing::WithParamInterface<std::pair<Duration, Duration>> {};

TEST_P(StuckScopeTest, IsReportedBeforeAnotherMayLead) {
  const auto& [renew_deadline, stop_limit] = GetParam();
  std::promise<void> let_go;
  std::promise<void> began;
  std::promise<void> stuck;
  LeaseOptions options;
  options.key = kLease;
  options.identity = "a";
  options.renew_deadline = renew_deadline;
  LeaderCallbacks callbacks;
  callbacks.lead = [&](int64_t, const std::stop_token&) {
    began.set_value();
    let_go.get_future().wait();
  };
  callbacks.stuck = [&] {
    stuck.set_value();
    let_go.set_value();
  };
  callbacks.stop_limit = stop_limit;
  LeaderElector elector(*client_, options, callbacks, clock_);
  ASSERT_EQ(began.get_future().wait_for(kLimit), std::future_status::ready);
  elector.Stop();
  EXPECT_EQ(stuck.get_future().wait_for(kLimit), std::future_status::ready);
}

// Of a lease of 15 s.
INSTANTIATE_TEST_SUITE_P(
    Limits, StuckScopeTest,
    ::testing::Values(
        std::pair<Duration, Duration>{std::chrono::seconds(10), std::chrono::milliseconds(10)},
        std::pair<Duration, Duration>{std::chrono::milliseconds(14990), std::chrono::hours(1)}));

}  // namespace
}  // namespace longstride::kube
