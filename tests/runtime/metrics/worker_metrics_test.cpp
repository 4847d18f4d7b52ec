#include "runtime/metrics/worker_metrics.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/metrics/metric_table.h"

namespace longstride {
namespace {

using testing::HasSubstr;
using testing::Not;

MetricsOptions Options() {
  MetricsOptions options;
  options.address = "";
  options.worker = {"fast", 2, "abc"};
  options.device_name = "Some CPU";
  options.memory_limit_bytes = 1000;
  options.purposes = {"model", "statistics"};
  return options;
}

RoundReport Report(int64_t round) {
  RoundReport r;
  r.generation = {3, 4};
  r.round = round;
  r.local_samples = 100;
  r.local_batch = 8;
  r.global_batch = 32;
  r.local_steps = 16;
  r.loss = 0.5;
  r.noise_scale = 77;
  r.bytes_sent = {1000, 10};
  r.bytes_received = {900, 9};
  r.seconds.compute = 1.5;
  r.seconds.communication = 0.25;
  r.wall_seconds = 2;
  return r;
}

// GET /metrics over a plain socket.
std::string Scrape(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string text;
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
    const std::string request = "GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n";
    EXPECT_EQ(send(fd, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
    char buffer[4096];
    for (ssize_t n = 0; (n = recv(fd, buffer, sizeof buffer, 0)) > 0;)
      text.append(buffer, static_cast<size_t>(n));
  }
  close(fd);
  return text;
}

TEST(WorkerMetrics, CountersAddUpAndGaugesFollow) {
  auto metrics = WorkerMetrics::Start(Options());
  ASSERT_TRUE(metrics.ok()) << metrics.error().message;
  metrics.value()->Observe(Report(1));
  RoundReport second = Report(2);
  second.loss = 0.25;
  second.evaluation_accuracy = 0.875;
  metrics.value()->Observe(second);
  const std::string text = metrics.value()->Render();
  for (const char* line :
       {"longstride_worker_round 2\n", "longstride_worker_rounds_total 2\n",
        "longstride_worker_samples_total 200\n", "longstride_worker_loss 0.25\n",
        "longstride_worker_evaluation_accuracy_ratio 0.875\n",
        "longstride_worker_sent_bytes_total{purpose=\"model\"} 2000\n",
        "longstride_worker_received_bytes_total{purpose=\"statistics\"} 18\n",
        "longstride_worker_activity_seconds_total{activity=\"compute\"} 3\n",
        "longstride_worker_round_duration_seconds_sum 4\n", "longstride_worker_generation_term 3\n",
        "longstride_worker_memory_limit_bytes 1000\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_THAT(text, HasSubstr("group=\"fast\",index=\"2\""));
}

TEST(WorkerMetrics, WhatWasNeverMeasuredIsAbsent) {
  auto metrics = WorkerMetrics::Start(Options());
  ASSERT_TRUE(metrics.ok());
  metrics.value()->Observe(Report(1));
  EXPECT_THAT(metrics.value()->Render(),
              Not(HasSubstr("longstride_worker_evaluation_accuracy_ratio ")));
}

TEST(WorkerMetrics, GpusShowWhatTheyKnowAndWhyTheyAreThrottledNow) {
  auto metrics = WorkerMetrics::Start(Options());
  ASSERT_TRUE(metrics.ok());
  EXPECT_THAT(metrics.value()->Render(), Not(HasSubstr("gpu=")));
  GpuDescription gpu;
  gpu.memory_used_bytes = 5;
  gpu.memory_total_bytes = 80;
  gpu.ecc_uncorrected = 2;
  gpu.throttle_reasons = {"thermal"};
  metrics.value()->ObserveGpu(1, gpu);
  gpu.throttle_reasons = {"power cap"};
  metrics.value()->ObserveGpu(1, gpu);
  const std::string text = metrics.value()->Render();
  EXPECT_THAT(text, HasSubstr("longstride_worker_gpu_memory_used_bytes{gpu=\"1\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("longstride_worker_gpu_ecc_uncorrected_errors{gpu=\"1\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("longstride_worker_gpu_throttled{gpu=\"1\",reason=\"thermal\"} 0\n"));
  EXPECT_THAT(text,
              HasSubstr("longstride_worker_gpu_throttled{gpu=\"1\",reason=\"power cap\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("longstride_worker_gpu_utilization_ratio{")));
}

TEST(WorkerMetrics, ADroppedContributionIsNotCountedAsTrained) {
  auto metrics = WorkerMetrics::Start(Options());
  ASSERT_TRUE(metrics.ok());
  RoundReport report = Report(1);
  report.delta_finite = false;
  report.statistics_finite = false;
  metrics.value()->Observe(report);
  const std::string text = metrics.value()->Render();
  EXPECT_THAT(text, HasSubstr("longstride_worker_samples_total 0\n"));
  EXPECT_THAT(text, HasSubstr("longstride_worker_discarded_samples_total 100\n"));
  EXPECT_THAT(text, HasSubstr("longstride_worker_nonfinite_statistics_total 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("longstride_worker_noise_scale_samples ")));
}

TEST(WorkerMetrics, EveryMetricOfTheTableAppears) {
  auto metrics = WorkerMetrics::Start(Options());
  ASSERT_TRUE(metrics.ok());
  RoundReport report = Report(1);
  report.evaluation_loss = 1;
  report.evaluation_accuracy = 1;
  report.micro_batch_cap = 64;
  metrics.value()->Observe(report);
  GpuDescription gpu;
  gpu.utilization = gpu.ecc_uncorrected = 1;
  gpu.throttle_reasons = {"thermal"};
  metrics.value()->ObserveGpu(0, gpu);
  const std::string text = metrics.value()->Render();
  for (const MetricDescription& m : MetricTable()) {
    EXPECT_THAT(text, HasSubstr(std::string("# TYPE ") + m.name + " " + MetricTypeName(m.type)))
        << m.name;
  }
}

TEST(WorkerMetrics, ServesOverHttp) {
  MetricsOptions options = Options();
  options.address = "127.0.0.1:0";
  auto metrics = WorkerMetrics::Start(options);
  ASSERT_TRUE(metrics.ok());
  ASSERT_GT(metrics.value()->port(), 0);
  EXPECT_THAT(Scrape(metrics.value()->port()), HasSubstr("longstride_worker_info{"));
}

TEST(WorkerMetrics, ATakenPortIsAnErrorAndNoException) {
  MetricsOptions options = Options();
  options.address = "127.0.0.1:0";
  auto first = WorkerMetrics::Start(options);
  ASSERT_TRUE(first.ok());
  options.address = "127.0.0.1:" + std::to_string(first.value()->port());
  const auto second = WorkerMetrics::Start(options);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kTransient);
  EXPECT_THAT(second.error().message, HasSubstr(options.address));
}

}  // namespace
}  // namespace longstride
