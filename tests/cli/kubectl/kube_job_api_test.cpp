#include "cli/kubectl/kube_job_api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

namespace longstride {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;
using Answer = Result<kube::TransportResponse>;

Answer Ok(const std::string& state) {
  const json job{{"metadata", {{"name", "a"}, {"namespace", "n"}, {"resourceVersion", "7"}}},
                 {"status", {{"state", state}}}};
  return kube::TransportResponse{200, {}, job.dump()};
}
Answer Refused(int status) {
  return kube::TransportResponse{status, {}, "{}"};
}
Answer Dropped() {
  return TransientError("connection reset");
}

// Answers requests with `answers`, the last one again and again, and every watch with `watch`.
class ScriptedTransport : public kube::HttpTransport {
 public:
  Answer Send(const kube::TransportRequest&, Duration, std::stop_token) override {
    Answer answer = answers.front();
    if (answers.size() > 1) answers.pop_front();
    return answer;
  }
  Answer Stream(const kube::TransportRequest&, const LineSink&, Duration,
                std::stop_token) override {
    return watch;
  }
  std::deque<Answer> answers;
  Answer watch = Dropped();
};

class KubeJobApiTest : public testing::Test {
 protected:
  // Watches until the job is complete.
  Status Watch(std::deque<Answer> answers, std::stop_token stop = {}) {
    transport_->answers = std::move(answers);
    const auto complete = [](const json& job) { return job["status"]["state"] != "Complete"; };
    testing::internal::CaptureStderr();
    const Status status = api_->Watch("a", std::chrono::minutes(5), complete, std::move(stop));
    said_ = testing::internal::GetCapturedStderr();
    return status;
  }

  const std::shared_ptr<ScriptedTransport> transport_ = std::make_shared<ScriptedTransport>();
  ManualClock clock_;
  std::vector<Duration> pauses_;
  std::string said_;
  const std::unique_ptr<JobApi> api_ = MakeKubeJobApi(
      transport_, nullptr, "n", clock_, [this](Duration duration, const std::stop_token& stop) {
        pauses_.push_back(duration);
        clock_.Advance(duration);
        return !stop.stop_requested();
      });
};

TEST_F(KubeJobApiTest, AWatchOutlastsWhatFailsForAWhile) {
  const Status status = Watch({Dropped(), Refused(503), Ok("Running"), Dropped(), Ok("Complete")});
  ASSERT_TRUE(status.ok()) << status.error().message;
  ASSERT_EQ(pauses_.size(), 4U) << "with the one after the cut watch";
  EXPECT_GT(pauses_[3], pauses_[0]);
  const std::string once = "connection reset; trying again\n";
  EXPECT_THAT(said_, HasSubstr(once));
  EXPECT_THAT(said_.substr(said_.find(once) + once.size()), Not(HasSubstr("trying again")));
}

TEST_F(KubeJobApiTest, WatchesThatEndAtOnceAreRepeatedWithPauses) {
  transport_->watch = kube::TransportResponse{200, {}, ""};
  EXPECT_TRUE(Watch({Ok("Running"), Ok("Running"), Ok("Complete")}).ok());
  EXPECT_EQ(pauses_.size(), 2U);
  EXPECT_EQ(said_, "") << "nothing failed";
}

TEST_F(KubeJobApiTest, AWatchGivesUpAtItsDeadlineAndSaysWhatFailedLast) {
  const Status status = Watch({Dropped()});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kTransient);
  EXPECT_THAT(status.error().message, HasSubstr("gave up waiting for a: "));
  EXPECT_THAT(status.error().message, HasSubstr("connection reset"));
  EXPECT_EQ(clock_.Now(), TimePoint() + std::chrono::minutes(5));
}

TEST_F(KubeJobApiTest, AWatchEndsAtOnceWhereTryingAgainCannotHelp) {
  EXPECT_EQ(Watch({Ok("Running"), Refused(403)}).error().code, ErrorCode::kUser);
  EXPECT_EQ(pauses_.size(), 1U);
}

TEST_F(KubeJobApiTest, AWatchEndsWhenItIsStopped) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(Watch({Dropped()}, stop.get_token()).error().code, ErrorCode::kInterrupted);
}

}  // namespace
}  // namespace longstride
