#include "controller/kube/lease_election.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "core/base/random.h"

namespace longstride::kube {
namespace {

LeaseOptions Options(const std::string& identity) {
  LeaseOptions options;
  options.key = {"ns", "leader"};
  options.identity = identity;
  return options;
}

// The server's copy.
class Server {
 public:
  [[nodiscard]] const std::optional<LeaseRecord>& record() const { return record_; }
  // Nothing if it is not the newest that is to be replaced.
  std::optional<LeaseRecord> Write(LeaseRecord record) {
    if (record.resource_version != (record_ ? record_->resource_version : "")) return std::nullopt;
    record.resource_version = std::to_string(++version_);
    record_ = record;
    return record;
  }
  void Delete() { record_.reset(); }

 private:
  std::optional<LeaseRecord> record_;
  int version_ = 0;
};

class LeaseElectionTest : public ::testing::Test {
 protected:
  // One attempt, as the elector makes them. True if the candidate leads afterwards.
  bool Try(LeaseElection& candidate) {
    const TimePoint began = clock_.Now();
    const auto wanted = candidate.Observe(server_.record(), began, clock_.UnixSeconds());
    if (wanted) {
      if (const auto written = server_.Write(*wanted)) candidate.Written(*written, began);
    }
    return candidate.Leads(clock_.Now());
  }

  ManualClock clock_;
  Server server_;
  LeaseElection a_{Options("a")};
  LeaseElection b_{Options("b")};
};

TEST_F(LeaseElectionTest, TheFirstLeadsAndTheOtherWaits) {
  EXPECT_TRUE(Try(a_));
  EXPECT_FALSE(Try(b_));
  EXPECT_EQ(b_.holder(), "a");
  EXPECT_EQ(a_.term(), 1);
}

TEST_F(LeaseElectionTest, ARenewedLeaseIsNeverTaken) {
  EXPECT_TRUE(Try(a_));
  for (int i = 0; i < 100; ++i) {
    clock_.Advance(std::chrono::seconds(2));
    EXPECT_TRUE(Try(a_));
    EXPECT_FALSE(Try(b_));
  }
  EXPECT_EQ(a_.term(), 1);
}

TEST_F(LeaseElectionTest, ASilentLeaderLosesAfter10SecondsAndIsReplaced15SecondsAfterItsLastSign) {
  EXPECT_TRUE(Try(a_));
  EXPECT_FALSE(Try(b_));  // from here on b counts
  clock_.Advance(std::chrono::milliseconds(9999));
  EXPECT_TRUE(a_.Leads(clock_.Now()));
  clock_.Advance(std::chrono::milliseconds(1));
  EXPECT_FALSE(a_.Leads(clock_.Now()));
  clock_.Advance(std::chrono::milliseconds(4999));
  EXPECT_FALSE(Try(b_));
  clock_.Advance(std::chrono::milliseconds(1));
  EXPECT_TRUE(Try(b_));
  EXPECT_EQ(b_.term(), 2);
}

TEST_F(LeaseElectionTest, ALeaderThatIsGoneIsReplacedWithinALeaseAndARetryPeriodOfItsLastSign) {
  SeededRandom random(1);
  Duration longest{};
  for (int i = 0; i < 200; ++i) {
    Server server;
    LeaseElection a(Options("a"));
    LeaseElection b(Options("b"));
    const auto write = [&](LeaseElection& candidate) {
      const auto wanted = candidate.Observe(server.record(), clock_.Now(), 0);
      if (const auto written = wanted ? server.Write(*wanted) : std::nullopt)
        candidate.Written(*written, clock_.Now());
      return candidate.Leads(clock_.Now());
    };
    ASSERT_TRUE(write(a));
    ASSERT_FALSE(write(b));
    const Duration look = b.UntilNextLook(clock_.Now(), random.NextUniform());
    const Duration before = FromSeconds(ToSeconds(look) * random.NextUniform());
    clock_.Advance(before);
    ASSERT_TRUE(write(a));  // its last sign, some time before b looks
    const TimePoint last = clock_.Now();
    clock_.Advance(look - before);
    while (!write(b)) clock_.Advance(b.UntilNextLook(clock_.Now(), random.NextUniform()));
    EXPECT_GE(clock_.Now() - last, std::chrono::seconds(15));
    longest = std::max(longest, clock_.Now() - last);
  }
  EXPECT_GT(longest, std::chrono::milliseconds(16500));
  EXPECT_LE(longest, std::chrono::seconds(17));
}

TEST_F(LeaseElectionTest, WhatCountsIsWhenAChangeWasSeenNotWhatTheRecordsClockSays) {
  EXPECT_TRUE(Try(a_));
  clock_.Advance(std::chrono::hours(1));  // b was not there
  EXPECT_FALSE(Try(b_));
  clock_.Advance(std::chrono::seconds(15));
  EXPECT_TRUE(Try(b_));
}

TEST_F(LeaseElectionTest, AfterAnOutageTheFormerLeaderComesFirstIfItIsThere) {
  for (const bool there : {true, false}) {
    ASSERT_TRUE(Try(a_));
    ASSERT_FALSE(Try(b_));
    clock_.Advance(std::chrono::seconds(60));  // nobody reads the lease
    EXPECT_FALSE(Try(b_));
    clock_.Advance(std::chrono::seconds(2));
    if (there) {
      EXPECT_TRUE(Try(a_));
    }
    EXPECT_FALSE(Try(b_));
    clock_.Advance(std::chrono::seconds(2));
    EXPECT_EQ(Try(b_), !there);
  }
}

TEST_F(LeaseElectionTest, AReleasedLeaseIsTakenAtOnceInANewTerm) {
  EXPECT_TRUE(Try(a_));
  const auto released = a_.Release(clock_.UnixSeconds());
  ASSERT_TRUE(released);
  EXPECT_TRUE(server_.Write(*released));
  EXPECT_FALSE(a_.Leads(clock_.Now()));
  EXPECT_TRUE(Try(b_));
  EXPECT_EQ(b_.term(), 2);
  EXPECT_FALSE(a_.Release(clock_.UnixSeconds()));
}

TEST_F(LeaseElectionTest, WhoLosesAndComesBackHasANewTerm) {
  EXPECT_TRUE(Try(a_));
  clock_.Advance(std::chrono::seconds(11));
  EXPECT_FALSE(a_.Leads(clock_.Now()));
  EXPECT_TRUE(Try(a_));
  EXPECT_EQ(a_.term(), 2);
}

TEST_F(LeaseElectionTest, ADeletedLeaseIsMadeAnewWithoutRepeatingATerm) {
  EXPECT_TRUE(Try(a_));
  server_.Delete();
  EXPECT_TRUE(Try(a_));
  EXPECT_EQ(a_.term(), 2);
}

TEST_F(LeaseElectionTest, ALeaseThatNobodyRemembersIsMadeAnewWithoutRepeatingATerm) {
  int64_t highest = 0;
  double unix_seconds = 1'800'000'000;
  for (int i = 0; i < 5; ++i) {
    LeaseElection election(Options("c"));  // a process of its own
    const auto wanted = election.Observe(std::nullopt, clock_.Now(), unix_seconds);
    ASSERT_TRUE(wanted);
    EXPECT_GT(wanted->transitions, highest);
    EXPECT_LT(wanted->transitions, int64_t{1} << 31) << "the API has 32 bits for it";
    highest = wanted->transitions + 20;  // leaders came and went
    unix_seconds += 60;
  }
}

TEST_F(LeaseElectionTest, TheObjectReadsBackAsItWasWritten) {
  const LeaseRecord record{"a", 15,  "2026-11-24T08:00:00.000000Z", "2026-11-24T08:00:02.000000Z",
                           4,   "17"};
  EXPECT_EQ(ReadLease(WriteLease({"ns", "leader"}, record)), record);
}

TEST_F(LeaseElectionTest, PartsOfASecondAreRoundedUpAsOthersWaitThatLong) {
  LeaseRecord record;
  record.duration_seconds = 2.9;
  EXPECT_EQ(WriteLease({"ns", "leader"}, record)["spec"]["leaseDurationSeconds"], 3);
  record.duration_seconds = 0.2;
  EXPECT_EQ(WriteLease({"ns", "leader"}, record)["spec"]["leaseDurationSeconds"], 1);
}

// Three candidates; requests are slow, lost on the way there or on the way back, clocks on the
// machines begin anywhere, candidates pause for long times (a stopped process), leases are
// released. Never do two lead at once, and no term has two leaders.
class LeaseScheduleTest : public ::testing::TestWithParam<uint64_t> {};

TEST_P(LeaseScheduleTest, NeverDoTwoLeadAtOnceNorShareATerm) {
  struct Candidate {
    LeaseElection election;
    Duration clock_offset;
    TimePoint next{};
    std::optional<LeaseRecord> in_flight;
    TimePoint began{};
  };
  SeededRandom random(GetParam());
  ManualClock clock;
  Server server;
  std::vector<Candidate> candidates;
  for (const char* name : {"a", "b", "c"}) {
    candidates.push_back({LeaseElection(Options(name)),
                          std::chrono::seconds(random.NextBelow(100000)),
                          {},
                          std::nullopt,
                          {}});
  }
  std::map<int64_t, std::string> leaders;
  int changes = 0;
  for (int step = 0; step < 20000; ++step) {
    clock.Advance(std::chrono::milliseconds(100));
    for (Candidate& c : candidates) {
      const TimePoint now = clock.Now() + c.clock_offset;
      if (now < c.next) continue;
      if (c.in_flight) {  // arrives now, and its answer with it unless it is lost
        const auto written = server.Write(*c.in_flight);
        c.in_flight.reset();
        // A request outlives its leadership no more than its deadline lets it.
        const bool in_time = now - c.began < std::chrono::seconds(10);
        if (written && in_time && random.NextBelow(8) > 0) c.election.Written(*written, c.began);
        c.next = now + std::chrono::milliseconds(2000 + random.NextBelow(2000));
        continue;
      }
      if (random.NextBelow(100) == 0) {  // stands still
        c.next = now + std::chrono::seconds(random.NextBelow(40));
        continue;
      }
      if (c.election.Leads(now) && random.NextBelow(60) == 0) {
        if (const auto released = c.election.Release(0)) (void)server.Write(*released);
        continue;
      }
      if (random.NextBelow(4) == 0) continue;  // no answer to the question
      c.began = now;
      c.in_flight = c.election.Observe(server.record(), now, 0);
      c.next = now + std::chrono::milliseconds(random.NextBelow(3000));
    }
    std::set<std::string> leading;
    for (size_t i = 0; i < candidates.size(); ++i) {
      Candidate& c = candidates[i];
      if (!c.election.Leads(clock.Now() + c.clock_offset)) continue;
      const std::string name(1, static_cast<char>('a' + i));
      leading.insert(name);
      const auto [known, added] = leaders.emplace(c.election.term(), name);
      EXPECT_EQ(known->second, name) << "two leaders in term " << c.election.term();
      changes += added ? 1 : 0;
    }
    ASSERT_LE(leading.size(), 1U) << "step " << step;
  }
  EXPECT_GT(changes, 5);
}

INSTANTIATE_TEST_SUITE_P(Seeds, LeaseScheduleTest, ::testing::Range<uint64_t>(1, 21));

}  // namespace
}  // namespace longstride::kube
