#include "runtime/profile/throughput.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/profile/memory_model.h"

namespace longstride {
namespace {

constexpr int64_t kMegabyte = 1'000'000;

// A worker whose steps take alpha + beta b seconds and hold fixed + slope b bytes.
struct FakeWorker {
  double alpha = 0.001;
  double beta = 0.0002;
  int64_t fixed_bytes = 100 * kMegabyte;
  int64_t bytes_per_sample = kMegabyte;
  int64_t refuses_above = 0;  // kResource beyond it; 0 = never

  ManualClock clock;
  int64_t peak = 50 * kMegabyte;
  std::vector<int64_t> tried;

  ThroughputProbe Probe() {
    return {[this](int64_t batch, int64_t micro) -> Result<double> {
              EXPECT_EQ(batch, micro);
              tried.push_back(batch);
              if (refuses_above > 0 && batch > refuses_above) return ResourceError("out of memory");
              const double seconds = alpha + beta * static_cast<double>(batch);
              clock.Advance(FromSeconds(seconds));
              peak = std::max(peak, fixed_bytes + bytes_per_sample * batch);
              return seconds;
            },
            [this] { return peak; }};
  }
  int64_t LargestTried() const { return *std::max_element(tried.begin(), tried.end()); }
};

TEST(MeasureThroughput, RecoversAlphaAndBeta) {
  FakeWorker worker;
  const auto profile = MeasureThroughput(worker.Probe(), {1024, 0, 2.0}, worker.clock);
  ASSERT_TRUE(profile.ok()) << profile.error().message;
  EXPECT_NEAR(profile.value().alpha, 0.001, 1e-6);
  EXPECT_NEAR(profile.value().beta, 0.0002, 1e-8);
  EXPECT_EQ(profile.value().micro_batch_cap, 1024);
  EXPECT_EQ(profile.value().points.size(), 6u);  // 1, 4, 16, 64, 256, 1024
}

TEST(MeasureThroughput, NeverStepsToABatchPredictedAboveTheLimit) {
  for (int64_t limit : {200, 300, 400, 1000, 3000}) {
    FakeWorker worker;
    const auto profile =
        MeasureThroughput(worker.Probe(), {4096, limit * kMegabyte, 100.0}, worker.clock);
    ASSERT_TRUE(profile.ok()) << profile.error().message;
    EXPECT_LE(worker.peak, limit * kMegabyte * 9 / 10) << limit;
    // The cap uses what memory there is: the fake's true bound is 0.9 limit - fixed, 1 MB a sample.
    EXPECT_EQ(profile.value().micro_batch_cap, std::min<int64_t>(limit * 9 / 10 - 100, 4096))

        << limit;
    EXPECT_LE(profile.value().memory_peak_bytes, limit * kMegabyte * 9 / 10) << limit;
  }
}

TEST(MeasureThroughput, StopsWithinItsBudget) {
  FakeWorker worker;
  worker.beta = 0.01;
  const auto profile = MeasureThroughput(worker.Probe(), {100000, 0, 2.0}, worker.clock);
  ASSERT_TRUE(profile.ok());
  EXPECT_EQ(worker.LargestTried(), 64);  // 256 samples would take 2.56 s
  EXPECT_LE(ToSeconds(worker.clock.Now().time_since_epoch()), 2.7);
  EXPECT_EQ(profile.value().micro_batch_cap, 8 * 64);  // trusted eightfold beyond what was seen
}

// A first small step hides growth in pages that were resident already; only a batch near the cap
// tells.
TEST(MeasureThroughput, WhereMemoryBindsItMeasuresNearTheCapEvenBeyondItsBudget) {
  FakeWorker worker;
  worker.beta = 0.02;
  const auto profile =
      MeasureThroughput(worker.Probe(), {4096, 300 * kMegabyte, 1.0}, worker.clock);
  ASSERT_TRUE(profile.ok());
  EXPECT_EQ(profile.value().micro_batch_cap, 170);  // 0.9 * 300 - 100
  EXPECT_EQ(worker.LargestTried(), 64);             // 16 within the budget
  EXPECT_LE(ToSeconds(worker.clock.Now().time_since_epoch()), 4.0);
}

TEST(MeasureThroughput, ButNotForLongerThanFourBudgets) {
  FakeWorker worker;
  worker.beta = 0.1;
  ASSERT_TRUE(MeasureThroughput(worker.Probe(), {4096, 300 * kMegabyte, 1.0}, worker.clock).ok());
  EXPECT_EQ(worker.LargestTried(), 16) << "64 samples would take 6.4 s";
}

// Neighbours that start and stop to compute disturb all points alike.
TEST(MeasureThroughput, SpendsItsBudgetSoThatContentionIsSeenByAllPoints) {
  FakeWorker worker;
  worker.beta = 0.002;
  ThroughputProbe probe = worker.Probe();
  const auto inner = probe.time_step;
  probe.time_step = [&](int64_t batch, int64_t micro) {
    if (ToSeconds(worker.clock.Now().time_since_epoch()) > 0.4) worker.beta = 0.004;
    return inner(batch, micro);
  };
  const auto profile = MeasureThroughput(probe, {64, 0, 2.0}, worker.clock);
  ASSERT_TRUE(profile.ok());
  EXPECT_NEAR(ToSeconds(worker.clock.Now().time_since_epoch()), 2.0, 0.1);
  EXPECT_NEAR(profile.value().beta, 0.004, 1e-5);
}

TEST(MeasureThroughput, AShortRowIsNotDrawnOut) {
  FakeWorker worker;
  worker.alpha = 1e-5;
  worker.beta = 1e-6;
  ASSERT_TRUE(MeasureThroughput(worker.Probe(), {1024, 0, 2.0}, worker.clock).ok());
  EXPECT_LT(ToSeconds(worker.clock.Now().time_since_epoch()), 0.05);
}

TEST(MeasureThroughput, ARefusedStepEndsTheRow) {
  FakeWorker worker;
  worker.refuses_above = 100;
  const auto profile = MeasureThroughput(worker.Probe(), {4096, 0, 10.0}, worker.clock);
  ASSERT_TRUE(profile.ok());
  EXPECT_EQ(profile.value().points.back().first, 64);
  EXPECT_LT(profile.value().micro_batch_cap, 256);
}

TEST(MeasureThroughput, TooSmallAMemoryIsAResourceErrorThatSaysWhatToDo) {
  FakeWorker worker;
  const auto profile =
      MeasureThroughput(worker.Probe(), {4096, 100 * kMegabyte, 2.0}, worker.clock);
  ASSERT_FALSE(profile.ok());
  EXPECT_EQ(profile.error().code, ErrorCode::kResource);
  EXPECT_NE(profile.error().message.find("limits.memory"), std::string::npos)
      << profile.error().message;
}

TEST(MeasureThroughput, BeginsWithAsManySamplesAsAStepNeeds) {
  for (const int64_t max_batch : {64, 1}) {
    FakeWorker worker;
    const auto profile = MeasureThroughput(
        worker.Probe(), {.max_batch = max_batch, .budget_seconds = 2.0, .min_batch = 2},
        worker.clock);
    ASSERT_TRUE(profile.ok()) << profile.error().message;
    EXPECT_EQ(*std::ranges::min_element(worker.tried), 2);
    EXPECT_EQ(worker.LargestTried(), std::max<int64_t>(max_batch, 2));
    EXPECT_EQ(profile.value().micro_batch_cap, std::max<int64_t>(max_batch, 2));
  }
}

TEST(MeasureThroughput, OtherErrorsPassThrough) {
  FakeWorker worker;
  ThroughputProbe probe = worker.Probe();
  probe.time_step = [](int64_t, int64_t) -> Result<double> { return DataError("bad record"); };
  const auto profile = MeasureThroughput(probe, {}, worker.clock);
  ASSERT_FALSE(profile.ok());
  EXPECT_EQ(profile.error().code, ErrorCode::kData);
}

TEST(MeasureThroughput, WithLittleMemoryLeftOneSampleIsTheMicroBatch) {
  FakeWorker
      worker;  // the first step grows by 51 MB, and from that alone a second sample looks too much
  const auto profile =
      MeasureThroughput(worker.Probe(), {4096, 150 * kMegabyte, 2.0}, worker.clock);
  ASSERT_TRUE(profile.ok());
  EXPECT_EQ(profile.value().micro_batch_cap, 1);
}

TEST(MemoryModel, OnePointCountsAllGrowthAsProportional) {
  MemoryModel model(1000);
  model.SetBaseline(100);
  model.Add(2, 300);
  EXPECT_DOUBLE_EQ(model.Predict(2), 300);
  EXPECT_DOUBLE_EQ(model.Predict(4), 500);
  EXPECT_EQ(model.Largest(2, 100), 8);  // 300 + 100 * 6 = 900
}

TEST(MemoryModel, SeveralPointsUseTheSteepestSlope) {
  MemoryModel model(0);
  model.SetBaseline(0);
  model.Add(1, 100);
  model.Add(2, 100);  // pages were already there
  model.Add(4, 140);
  EXPECT_DOUBLE_EQ(model.Predict(8), 140 + 20 * 4);
  EXPECT_TRUE(model.Fits(1'000'000'000));
}

TEST(MemoryModel, WhatStepsInTurnsLedToCountsForTheLargest) {
  MemoryModel model(0);
  model.Add(1, 100);
  model.Add(11, 200);
  model.RaiseLast(300);
  EXPECT_DOUBLE_EQ(model.Predict(21), 500);
  model.RaiseLast(250);
  EXPECT_DOUBLE_EQ(model.Predict(11), 300);
}

TEST(MemoryLimitWatch, TheMicroBatchFollowsTheLimitDownAndStaysThere) {
  MemoryModel model(1000);
  model.SetBaseline(100);
  model.Add(10, 200);  // 10 bytes a sample
  MemoryLimitWatch watch(model, 1000, 50);
  EXPECT_EQ(watch.Observe(1000), std::nullopt);
  EXPECT_EQ(watch.Observe(0), std::nullopt);
  EXPECT_EQ(watch.Observe(900), std::nullopt) << "50 samples take 600 bytes";
  EXPECT_EQ(watch.Observe(500), 35);
  EXPECT_EQ(watch.Observe(2000), std::nullopt);
  EXPECT_EQ(watch.Observe(500), std::nullopt);
  EXPECT_EQ(watch.Observe(50), 1);
}

}  // namespace
}  // namespace longstride
