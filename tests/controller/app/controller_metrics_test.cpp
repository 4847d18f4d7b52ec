#include "controller/app/controller_metrics.h"

#include <gmock/gmock.h>

namespace longstride {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ControllerFigures WithJob(double completed) {
  ControllerFigures figures;
  JobStatus status;
  status.state = completed > 0 ? "Complete" : "Running";
  status.progress.round = 7;
  status.progress.bytes_sent = 1'000'000;
  status.completion_time = completed;
  figures.jobs[{"lab", "demo"}] = status;
  return figures;
}

TEST(ControllerMetrics, NameEachJob) {
  const std::string text = MetricsText(WithJob(0), 1000);
  EXPECT_THAT(text, HasSubstr("longstride_job_round{job_namespace=\"lab\",job_name=\"demo\"} 7"));
  EXPECT_THAT(text, HasSubstr("state=\"Running\""));
  EXPECT_THAT(text, HasSubstr("# TYPE longstride_job_sent_bytes_total counter"));
}

TEST(ControllerMetrics, SeriesOfAFinishedJobGoAfterFiveMinutes) {
  EXPECT_THAT(MetricsText(WithJob(1000), 1300), HasSubstr("job_name=\"demo\""));
  EXPECT_THAT(MetricsText(WithJob(1000), 1301), Not(HasSubstr("job_name=\"demo\"")));
}

TEST(ControllerMetrics, ReconcilesAreAHistogram) {
  ReconcileTimes times;
  times.Add(std::chrono::milliseconds(2), false);
  times.Add(std::chrono::seconds(20), true);
  ControllerFigures figures;
  figures.reconciles = times.Read();
  const std::string text = MetricsText(figures, 0);
  EXPECT_THAT(text, HasSubstr("controller_runtime_reconcile_total{controller=\"trainingjob\"} 2"));
  EXPECT_THAT(text,
              HasSubstr("controller_runtime_reconcile_errors_total{controller=\"trainingjob\"} 1"));
  EXPECT_THAT(
      text, HasSubstr("reconcile_time_seconds_bucket{controller=\"trainingjob\",le=\"0.005\"} 1"));
  EXPECT_THAT(text,
              HasSubstr("reconcile_time_seconds_bucket{controller=\"trainingjob\",le=\"+Inf\"} 2"));
}

}  // namespace
}  // namespace longstride
