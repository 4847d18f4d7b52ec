#include "controller/kube/event_recorder.h"

#include <gmock/gmock.h>

#include "tests/controller/kube/kube_testing.h"

namespace longstride::kube {
namespace {

class EventRecorderTest : public FakeApiTest {
 protected:
  static EventText Event(const std::string& message) {
    EventText event;
    event.about = {"longstride.dev/v1alpha1", "TrainingJob", {"ns", "job"}, "uid", "7"};
    event.warning = true;
    event.reason = "Restarted";
    event.message = message;
    return event;
  }
};

TEST_F(EventRecorderTest, WritesOneEventWithACountInTheObjectsNamespace) {
  EventRecorder recorder(*client_, {.instance = "pod-1"}, clock_);
  for (int i = 0; i < 3; ++i) recorder.Record(Event("worker 1 restarted"));
  ASSERT_TRUE(recorder.Flush(kLimit));
  const std::vector<Json> events = server_->List(Events());
  ASSERT_EQ(events.size(), 1U);
  const Json& event = events[0];
  EXPECT_EQ(KeyOf(event).namespace_, "ns");
  EXPECT_EQ(event["count"], 3);
  EXPECT_EQ(event["type"], "Warning");
  EXPECT_EQ(event["reason"], "Restarted");
  EXPECT_EQ(event["message"], "worker 1 restarted");
  EXPECT_EQ(StringAt(event, "/involvedObject/uid"), "uid");
  EXPECT_EQ(StringAt(event, "/source/component"), "longstride-controller");
}

TEST_F(EventRecorderTest, AnExpiredEventIsWrittenAnew) {
  EventRecorder recorder(*client_, {}, clock_);
  recorder.Record(Event("again"));
  ASSERT_TRUE(recorder.Flush(kLimit));
  ASSERT_TRUE(server_->Delete(Events(), KeyOf(server_->List(Events())[0])));
  recorder.Record(Event("again"));
  ASSERT_TRUE(recorder.Flush(kLimit));
  ASSERT_EQ(server_->List(Events()).size(), 1U);
  EXPECT_EQ(server_->List(Events())[0]["count"], 2);
}

TEST_F(EventRecorderTest, ARefusedEventIsGivenUpAndTheNextOneWritten) {
  server_->AddFault({.method = "POST", .path_contains = "/events", .status = 403});
  EventRecorder recorder(*client_, {}, clock_);
  recorder.Record(Event("refused"));
  recorder.Record(Event("taken"));
  ASSERT_TRUE(recorder.Flush(kLimit));
  ASSERT_EQ(server_->List(Events()).size(), 1U);
  EXPECT_EQ(server_->List(Events())[0]["message"], "taken");
}

TEST_F(EventRecorderTest, RecordNeverWaitsAndCountsWhatItDrops) {
  server_->AddFault({.method = "POST", .times = -1, .delay = std::chrono::hours(1)});
  EventRecorder recorder(*client_, {.max_queued = 2}, clock_);
  for (int i = 0; i < 10; ++i) recorder.Record(Event("flood"));
  EXPECT_GE(recorder.dropped(), 7);
  EXPECT_FALSE(recorder.Flush(Duration::zero()));
}

}  // namespace
}  // namespace longstride::kube
