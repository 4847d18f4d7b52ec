#include "cli/plan_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace longstride {
namespace {

using testing::HasSubstr;

JoinRequest Join(int64_t index, double beta) {
  JoinRequest join;
  join.worker = {"worker", index, "x"};
  join.profile.alpha = 0.001;
  join.profile.beta = beta;
  join.profile.micro_batch_cap = 64;
  join.profile.device_name = "Some CPU";
  join.profile.threads = 2;
  join.profile.memory_limit_bytes = 4'000'000'000;
  join.parameters = 1000;
  join.train_samples = 60000;
  return join;
}

PlanPrediction Prediction(double sync) {
  return {.global_batch = 160,
          .batches = {128, 32},
          .local_steps = 16,
          .step_seconds = 0.13,
          .sync_seconds = sync,
          .round_seconds = 2.08 + sync};
}

TEST(PlanTable, ShowsEachWorkersShareAndTheRound) {
  const std::string text = RenderPlanTable({Join(0, 0.001), Join(1, 0.004)}, Prediction(0.5));
  EXPECT_THAT(text, HasSubstr("worker-1"));
  EXPECT_THAT(text, HasSubstr("4.00 GB"));
  EXPECT_THAT(text, HasSubstr("128"));
  EXPECT_THAT(text, HasSubstr("local steps"));
  EXPECT_THAT(text, HasSubstr("500.0 ms"));
}

TEST(PlanTable, SaysThatTheLinkIsNotMeasuredYet) {
  const std::string text = RenderPlanTable({Join(0, 0.001), Join(1, 0.004)}, Prediction(0));
  EXPECT_THAT(text, HasSubstr("not measured before the first round"));
  EXPECT_TRUE(PlanJson({Join(0, 0.001), Join(1, 0.004)}, Prediction(0))["syncSeconds"].is_null());
}

// 128 samples in micro-batches of 64 are two: 2 alpha + 128 beta.
TEST(PlanJson, StepTimesFollowTheFit) {
  const auto json = PlanJson({Join(0, 0.001), Join(1, 0.004)}, Prediction(0.5));
  EXPECT_DOUBLE_EQ(json["workers"][0]["stepSeconds"].get<double>(), 2 * 0.001 + 128 * 0.001);
  EXPECT_DOUBLE_EQ(json["workers"][1]["stepSeconds"].get<double>(), 0.001 + 32 * 0.004);
  EXPECT_EQ(json["trainSamples"], 60000);
}

}  // namespace
}  // namespace longstride
