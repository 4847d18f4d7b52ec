#include "controller/kube/event_correlator.h"

#include <gmock/gmock.h>

#include <set>

namespace longstride::kube {
namespace {

using ::testing::StartsWith;
using Kind = EventWrite::Kind;

class EventCorrelatorTest : public ::testing::Test {
 protected:
  EventWrite Observe(const std::string& message, const std::string& object = "job",
                     const std::string& reason = "Restarted") {
    EventText event;
    event.about = {"longstride.dev/v1alpha1", "TrainingJob", {"ns", object}, "uid-" + object, ""};
    event.reason = reason;
    event.message = message;
    return correlator_.Observe(event, clock_.Now(), clock_.UnixSeconds());
  }

  ManualClock clock_;
  EventCorrelator correlator_;
};

TEST_F(EventCorrelatorTest, AnEqualEventRaisesTheCountOfTheFirst) {
  const EventWrite first = Observe("worker 1 restarted");
  clock_.Advance(std::chrono::seconds(5));
  const EventWrite second = Observe("worker 1 restarted");
  EXPECT_EQ(first.kind, Kind::kCreate);
  EXPECT_EQ(second.kind, Kind::kPatch);
  EXPECT_EQ(second.name, first.name);
  EXPECT_EQ(second.count, 2);
  EXPECT_EQ(second.first_seconds, first.first_seconds);
  EXPECT_EQ(second.last_seconds, 5);
}

TEST_F(EventCorrelatorTest, MoreThanTenSimilarOnesIn10MinutesBecomeOne) {
  std::set<std::string> names;
  for (int i = 0; i < 10; ++i) {
    const EventWrite write = Observe("worker " + std::to_string(i) + " restarted");
    EXPECT_EQ(write.kind, Kind::kCreate);
    names.insert(write.name);
  }
  EXPECT_EQ(names.size(), 10U);
  const EventWrite combined = Observe("worker 10 restarted");
  EXPECT_EQ(combined.kind, Kind::kCreate);
  EXPECT_THAT(combined.message, StartsWith("(combined from similar events): worker 10"));
  const EventWrite more = Observe("worker 11 restarted");
  EXPECT_EQ(more.kind, Kind::kPatch);
  EXPECT_EQ(more.name, combined.name);
  EXPECT_EQ(more.count, 2);
}

TEST_F(EventCorrelatorTest, SimilarOnesFarApartStayApart) {
  for (int i = 0; i < 15; ++i) {
    EXPECT_EQ(Observe("worker " + std::to_string(i)).kind, Kind::kCreate);
    clock_.Advance(std::chrono::minutes(11));
  }
}

TEST_F(EventCorrelatorTest, AnObjectHas25AtOnceAndThenOneEvery5Minutes) {
  for (int i = 0; i < 25; ++i) EXPECT_NE(Observe("same").kind, Kind::kDrop);
  EXPECT_EQ(Observe("same").kind, Kind::kDrop);
  EXPECT_EQ(Observe("same", "another").kind, Kind::kCreate) << "others have their own";
  clock_.Advance(std::chrono::minutes(5));
  const EventWrite later = Observe("same");
  EXPECT_EQ(later.kind, Kind::kPatch);
  EXPECT_EQ(later.count, 27) << "dropped ones are counted";
  EXPECT_EQ(Observe("same").kind, Kind::kDrop);
}

TEST_F(EventCorrelatorTest, WhatWasNeverCreatedIsNotPatched) {
  for (int i = 0; i < 25; ++i) (void)Observe("same");
  EXPECT_EQ(Observe("other", "job", "Stopped").kind, Kind::kDrop);
  clock_.Advance(std::chrono::minutes(5));
  EXPECT_EQ(Observe("other", "job", "Stopped").kind, Kind::kCreate);
}

}  // namespace
}  // namespace longstride::kube
