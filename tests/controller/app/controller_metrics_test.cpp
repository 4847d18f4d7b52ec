#include "controller/app/controller_metrics.h"

#include <gmock/gmock.h>

#include <map>
#include <ostream>
#include <set>
#include <sstream>

#include "controller/metrics/metric_table.h"

namespace longstride {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ControllerFigures WithJob(double completed) {
  ControllerFigures figures;
  JobStatus status;
  status.state = completed > 0 ? "Complete" : "Running";
  status.progress.round = 7;
  status.completion_time = completed;
  figures.jobs[{"lab", "demo"}] = status;
  return figures;
}

// Of a job with every figure known.
ControllerFigures WithAll() {
  ControllerFigures figures = WithJob(0);
  figures.api_requests[{"GET", 200}] = 3;
  figures.watch_restarts["Pod"] = 1;
  figures.worker_requests[200] = 5;
  figures.process.resident_bytes = 1 << 20;
  figures.process.start_time = 1e9;
  JobStatus& status = figures.jobs.begin()->second;
  status.progress.global_batch = 64;
  status.progress.local_steps = 16;
  status.progress.loss = 0.5;
  status.progress.accuracy = 0.9;
  status.last_checkpoint = CheckpointRecord{6, 600, 900};
  JobFigures& job = figures.hosted[{"lab", "demo"}];
  job.generation = 2;
  job.learning_rate = 0.1;
  job.evaluation_loss = 0.6;
  job.noise_scale = 300;
  job.norm_test_ratio = 1.5;
  job.totals.sent_bytes = {90, 10};
  job.workers[{"worker", 0}] = {700, 100};
  return figures;
}

// Name to "type" and, for each of the table's families, the labels of its first series.
struct Exported {
  std::string type;
  std::set<std::string> labels;
  friend bool operator==(const Exported&, const Exported&) = default;
};
std::map<std::string, Exported> Parse(const std::string& text) {
  std::map<std::string, Exported> families;
  std::istringstream lines(text);
  std::string current;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# TYPE ")) {
      std::istringstream words(line.substr(7));
      words >> current;
      words >> families[current].type;
    } else if (!line.starts_with("#")) {
      for (size_t quote = line.find("=\""); quote != line.npos;
           quote = line.find("=\"", quote + 1)) {
        const size_t begin = line.find_last_of("{,", quote) + 1;
        const std::string label = line.substr(begin, quote - begin);
        if (label != "le") families[current].labels.insert(label);
      }
    }
  }
  return families;
}

std::map<std::string, Exported> Tables() {
  std::map<std::string, Exported> families;
  const auto add = [&](auto table, const std::set<std::string>& common) {
    for (const controller::MetricDescription& m : table) {
      Exported& family = families[m.name];
      family.type = MetricTypeName(m.type);
      family.labels = common;
      family.labels.insert(m.labels.begin(), m.labels.end());
    }
  };
  add(controller::ControllerMetrics(), {});
  add(controller::JobMetrics(), {"job_namespace", "job_name"});
  return families;
}

void PrintTo(const Exported& family, std::ostream* out) {
  *out << family.type;
  for (const std::string& label : family.labels) *out << " " << label;
}

TEST(ControllerMetrics, AreThoseOfTheTableAndNoOthers) {
  EXPECT_EQ(Parse(MetricsText(WithAll(), 1000)), Tables());
}

TEST(ControllerMetrics, WhatIsNotKnownYetHasNoSeries) {
  ControllerFigures figures;
  figures.jobs[{"lab", "demo"}].state = "Pending";
  figures.hosted[{"lab", "demo"}] = {};
  const auto families = Parse(MetricsText(figures, 1000));
  for (const char* name :
       {"longstride_job_loss", "longstride_job_evaluation_loss",
        "longstride_job_evaluation_accuracy_ratio", "longstride_job_learning_rate",
        "longstride_job_noise_scale_samples", "longstride_job_norm_test_ratio",
        "longstride_job_global_batch_samples", "longstride_job_local_steps",
        "longstride_job_generation", "longstride_job_last_checkpoint_timestamp_seconds",
        "process_resident_memory_bytes", "process_start_time_seconds"}) {
    EXPECT_FALSE(families.contains(name)) << name;
  }
  EXPECT_TRUE(families.contains("longstride_job_round"));
}

TEST(ControllerMetrics, BytesAreTheirPurposes) {
  const std::string text = MetricsText(WithAll(), 1000);
  EXPECT_THAT(text, HasSubstr("longstride_job_sent_bytes_total{job_namespace=\"lab\","
                              "job_name=\"demo\",purpose=\"statistics\"} 10"));
  EXPECT_THAT(text, HasSubstr("longstride_job_worker_samples_total{job_namespace=\"lab\","
                              "job_name=\"demo\",worker=\"worker-0\"} 700"));
}

// Of the demo job.
std::string Of(const std::string& metric, const std::string& label, double value) {
  std::ostringstream line;
  line << metric << "{job_namespace=\"lab\",job_name=\"demo\"" << label << "} " << value << "\n";
  return line.str();
}
std::string DataParallelBytes(double value) {
  return Of("longstride_job_data_parallel_bytes_total", "", value);
}

TEST(ControllerMetrics, TotalsOfAJobThatIsNotHostedAreThoseOfItsStatus) {
  for (const double completed : {0.0, 1000.0}) {
    ControllerFigures figures = WithJob(completed);
    JobTotals& totals = figures.jobs.begin()->second.progress.totals;
    totals.sent_bytes = {90, 10};
    totals.data_parallel_bytes = 700;
    totals.seconds.compute = 1.5;
    const std::string text = MetricsText(figures, 1300);
    EXPECT_THAT(text, HasSubstr(DataParallelBytes(700)));
    EXPECT_THAT(text,
                HasSubstr(Of("longstride_job_sent_bytes_total", ",purpose=\"statistics\"", 10)));
    EXPECT_THAT(
        text, HasSubstr(Of("longstride_job_activity_seconds_total", ",activity=\"compute\"", 1.5)));
    EXPECT_THAT(text, Not(HasSubstr("longstride_job_worker_")));
  }
}

TEST(ControllerMetrics, TotalsDoNotGoBackWhenHostingEndsBeforeTheStatusIsWritten) {
  ControllerFigures figures = WithJob(0);
  JobTotals& written = figures.jobs.begin()->second.progress.totals;
  written.data_parallel_bytes = 600;
  figures.hosted[{"lab", "demo"}].totals.data_parallel_bytes = 700;
  EXPECT_THAT(MetricsText(figures, 1000), HasSubstr(DataParallelBytes(700)));
  figures.hosted.clear();
  figures.released[{"lab", "demo"}].data_parallel_bytes = 700;
  EXPECT_THAT(MetricsText(figures, 1000), HasSubstr(DataParallelBytes(700)));
  written.data_parallel_bytes = 800;
  EXPECT_THAT(MetricsText(figures, 1000), HasSubstr(DataParallelBytes(800)));
}

TEST(ControllerMetrics, AJobThatWasNeverHostedAndHasNoTotalsHasNoSeriesOfThem) {
  EXPECT_THAT(MetricsText(WithJob(0), 1000), Not(HasSubstr("data_parallel_bytes")));
}

TEST(ControllerMetrics, NameEachJob) {
  const std::string text = MetricsText(WithJob(0), 1000);
  EXPECT_THAT(text, HasSubstr("longstride_job_round{job_namespace=\"lab\",job_name=\"demo\"} 7"));
  EXPECT_THAT(text, HasSubstr("state=\"Running\""));
}

TEST(ControllerMetrics, SeriesOfAFinishedJobGoAfterFiveMinutes) {
  EXPECT_THAT(MetricsText(WithJob(1000), 1300), HasSubstr("job_name=\"demo\""));
  EXPECT_THAT(MetricsText(WithJob(1000), 1301), Not(HasSubstr("job_name=\"demo\"")));
}

TEST(ControllerMetrics, ReconcilesAreAHistogram) {
  ReconcileTimes times;
  times.Begin();
  times.End(std::chrono::milliseconds(2), ReconcileResult::kSuccess);
  times.Begin();
  times.End(std::chrono::seconds(20), ReconcileResult::kError, /*terminal=*/true);
  times.Begin();
  ControllerFigures figures;
  figures.reconciles = times.Read();
  const std::string text = MetricsText(figures, 0);
  EXPECT_THAT(text, HasSubstr("controller_runtime_reconcile_total{controller=\"trainingjob\","
                              "result=\"success\"} 1"));
  EXPECT_THAT(text, HasSubstr("controller_runtime_active_workers{controller=\"trainingjob\"} 1"));
  EXPECT_THAT(text,
              HasSubstr("controller_runtime_reconcile_errors_total{controller=\"trainingjob\"} 1"));
  EXPECT_THAT(text, HasSubstr("controller_runtime_terminal_reconcile_errors_total{"
                              "controller=\"trainingjob\"} 1"));
  EXPECT_THAT(
      text, HasSubstr("reconcile_time_seconds_bucket{controller=\"trainingjob\",le=\"0.005\"} 1"));
  EXPECT_THAT(text,
              HasSubstr("reconcile_time_seconds_bucket{controller=\"trainingjob\",le=\"+Inf\"} 2"));
}

TEST(ControllerMetrics, TheQueueTellsHowLongJobsWaitAndAreInHand) {
  ControllerFigures figures;
  figures.queue.waited.Add(std::chrono::milliseconds(20));
  figures.queue.waited.Add(std::chrono::hours(1));
  figures.queue.worked.Add(std::chrono::nanoseconds(10));
  figures.queue.unfinished_seconds = 7;
  figures.queue.longest_seconds = 5;
  const std::string text = MetricsText(figures, 0);
  const std::string queue = "{name=\"trainingjob\",controller=\"trainingjob\"";
  for (const std::string& line :
       {"workqueue_queue_duration_seconds_bucket" + queue + ",le=\"0.1\"} 1",
        "workqueue_queue_duration_seconds_bucket" + queue + ",le=\"1000\"} 1",
        "workqueue_queue_duration_seconds_bucket" + queue + ",le=\"+Inf\"} 2",
        "workqueue_queue_duration_seconds_count" + queue + "} 2",
        "workqueue_work_duration_seconds_bucket" + queue + ",le=\"1e-08\"} 1",
        "workqueue_unfinished_work_seconds" + queue + "} 7",
        "workqueue_longest_running_processor_seconds" + queue + "} 5"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

}  // namespace
}  // namespace longstride
