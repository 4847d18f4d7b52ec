#include "controller/app/controller_metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <cassert>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "controller/metrics/metric_table.h"

namespace longstride {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;

constexpr double kKeptSeconds = 300;  // a finished job's series
constexpr const char* kController = "trainingjob";

prometheus::MetricType TypeOf(MetricType type) {
  switch (type) {
    case MetricType::kCounter:
      return prometheus::MetricType::Counter;
    case MetricType::kGauge:
      return prometheus::MetricType::Gauge;
    case MetricType::kHistogram:
      return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

using LabelValues = std::vector<std::string>;  // in the table's order

// A family for each row of a table, in its order.
class Families {
 public:
  // `common`: labels of every series, before the table's.
  explicit Families(std::span<const controller::MetricDescription> table,
                    std::vector<std::string> common = {})
      : table_(table), common_(std::move(common)), families_(table.size()) {
    for (size_t i = 0; i < table.size(); ++i) {
      families_[i].name = table[i].name;
      families_[i].help = table[i].help;
      families_[i].type = TypeOf(table[i].type);
    }
  }

  // Of the common labels, for what is added from now on.
  void SetCommon(LabelValues values) { common_values_ = std::move(values); }

  void Add(std::string_view name, const LabelValues& labels, double value) {
    ClientMetric metric;
    metric.counter.value = value;
    metric.gauge.value = value;
    AddMetric(name, labels, std::move(metric));
  }
  void Add(std::string_view name, const LabelValues& labels, int64_t value) {
    Add(name, labels, static_cast<double>(value));
  }
  template <typename T>
  void AddKnown(std::string_view name, const std::optional<T>& value) {
    if (value) Add(name, {}, *value);
  }

  // `name` must be one of the table's.
  void AddMetric(std::string_view name, const LabelValues& labels, ClientMetric metric) {
    size_t row = 0;
    while (row < table_.size() && name != table_[row].name) ++row;
    assert(row < table_.size() && labels.size() == table_[row].labels.size());
    if (row == table_.size()) return;
    for (size_t i = 0; i < common_.size(); ++i)
      metric.label.push_back({common_[i], common_values_[i]});
    for (size_t i = 0; i < labels.size(); ++i)
      metric.label.push_back({table_[row].labels[i], labels[i]});
    families_[row].metric.push_back(std::move(metric));
  }

  void MoveTo(std::vector<MetricFamily>& all) {
    for (MetricFamily& family : families_) {
      if (!family.metric.empty()) all.push_back(std::move(family));
    }
  }

 private:
  std::span<const controller::MetricDescription> table_;
  const std::vector<std::string> common_;
  LabelValues common_values_;
  std::vector<MetricFamily> families_;
};

// `counts`: of each bucket by itself, the last without bound.
ClientMetric HistogramOf(std::span<const double> bounds, std::span<const int64_t> counts,
                         double sum) {
  ClientMetric metric;
  uint64_t total = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    total += static_cast<uint64_t>(counts[i]);
    const double bound = i < bounds.size() ? bounds[i] : std::numeric_limits<double>::infinity();
    metric.histogram.bucket.push_back({total, bound});
  }
  metric.histogram.sample_count = total;
  metric.histogram.sample_sum = sum;
  return metric;
}

void AddReconciles(const ControllerFigures& figures, Families& to) {
  const ReconcileCounts& counts = figures.reconciles;
  for (size_t i = 0; i < counts.results.size(); ++i) {
    to.Add("controller_runtime_reconcile_total", {kController, kReconcileResults[i]},
           counts.results[i]);
  }
  to.Add("controller_runtime_reconcile_errors_total", {kController},
         counts.results[static_cast<size_t>(ReconcileResult::kError)]);
  to.Add("controller_runtime_terminal_reconcile_errors_total", {kController}, counts.terminal);
  to.AddMetric("controller_runtime_reconcile_time_seconds", {kController},
               HistogramOf(kReconcileBuckets, counts.buckets, counts.seconds));
  to.Add("controller_runtime_active_workers", {kController}, counts.active);
  to.Add("controller_runtime_max_concurrent_reconciles", {kController}, figures.threads);
}

void AddQueue(const kube::QueueCounts& queue, Families& to) {
  const LabelValues labels{kController, kController};
  const auto durations = [](const kube::QueueDurations& of) {
    return HistogramOf(kube::kQueueBuckets, of.buckets, of.seconds);
  };
  to.Add("workqueue_depth", labels, queue.depth);
  to.Add("workqueue_adds_total", labels, queue.adds);
  to.Add("workqueue_retries_total", labels, queue.retries);
  to.AddMetric("workqueue_queue_duration_seconds", labels, durations(queue.waited));
  to.AddMetric("workqueue_work_duration_seconds", labels, durations(queue.worked));
  to.Add("workqueue_unfinished_work_seconds", labels, queue.unfinished_seconds);
  to.Add("workqueue_longest_running_processor_seconds", labels, queue.longest_seconds);
}

void AddController(const ControllerFigures& figures, Families& to) {
  AddReconciles(figures, to);
  AddQueue(figures.queue, to);
  for (const auto& [request, count] : figures.api_requests) {
    const auto& [method, code] = request;
    to.Add("rest_client_requests_total", {std::to_string(code), method}, count);
  }
  to.Add("leader_election_master_status", {"longstride-controller"}, figures.leading ? 1.0 : 0.0);
  for (const auto& [kind, count] : figures.watch_restarts)
    to.Add("longstride_watch_restarts_total", {kind}, count);
  for (const auto& [code, count] : figures.worker_requests)
    to.Add("longstride_coordinator_requests_total", {std::to_string(code)}, count);
  to.Add("longstride_hosted_jobs", {}, static_cast<int64_t>(figures.hosted.size()));
  to.Add("longstride_events_dropped_total", {}, figures.events_dropped);
  to.AddKnown("process_resident_memory_bytes", figures.process.resident_bytes);
  to.Add("process_cpu_seconds_total", {}, figures.process.cpu_seconds);
  to.AddKnown("process_start_time_seconds", figures.process.start_time);
}

void AddStatus(const JobStatus& status, Families& to) {
  const TrainingProgress& progress = status.progress;
  if (!status.state.empty()) to.Add("longstride_job_state", {status.state}, 1.0);
  to.Add("longstride_job_replicas", {}, status.replicas);
  to.Add("longstride_job_ready_replicas", {}, status.ready_replicas);
  to.Add("longstride_job_round", {}, progress.round);
  to.Add("longstride_job_samples_total", {}, progress.samples);
  to.Add("longstride_job_epoch", {}, progress.epoch);
  if (progress.global_batch > 0)
    to.Add("longstride_job_global_batch_samples", {}, progress.global_batch);
  if (progress.local_steps > 0) to.Add("longstride_job_local_steps", {}, progress.local_steps);
  to.AddKnown("longstride_job_loss", progress.loss);
  to.AddKnown("longstride_job_evaluation_accuracy_ratio", progress.accuracy);
  to.Add("longstride_job_restarts_total", {}, status.restarts);
  to.Add("longstride_job_discarded_samples_total", {}, status.discarded_samples);
  if (status.last_checkpoint)
    to.Add("longstride_job_last_checkpoint_timestamp_seconds", {}, status.last_checkpoint->time);
}

void AddTotals(const JobTotals& totals, Families& to) {
  for (size_t i = 0; i < kPurposeNames.size(); ++i)
    to.Add("longstride_job_sent_bytes_total", {kPurposeNames[i]}, totals.sent_bytes[i]);
  to.Add("longstride_job_data_parallel_bytes_total", {}, totals.data_parallel_bytes);
  for (const auto& [activity, seconds] : kActivities)
    to.Add("longstride_job_activity_seconds_total", {activity}, totals.seconds.*seconds);
}

void AddFigures(const JobFigures& figures, Families& to) {
  if (figures.generation > 0) to.Add("longstride_job_generation", {}, figures.generation);
  to.AddKnown("longstride_job_learning_rate", figures.learning_rate);
  to.AddKnown("longstride_job_evaluation_loss", figures.evaluation_loss);
  to.AddKnown("longstride_job_noise_scale_samples", figures.noise_scale);
  to.AddKnown("longstride_job_norm_test_ratio", figures.norm_test_ratio);
  AddTotals(figures.totals, to);
  for (const auto& [place, worker] : figures.workers) {
    to.Add("longstride_job_worker_samples_total", {place.Name()}, worker.samples);
    to.Add("longstride_job_worker_sent_bytes_total", {place.Name()}, worker.sent_bytes);
  }
}

}  // namespace

std::string MetricsText(const ControllerFigures& figures, double now) {
  Families own(controller::ControllerMetrics());
  AddController(figures, own);
  Families jobs(controller::JobMetrics(), {"job_namespace", "job_name"});
  for (const auto& [key, status] : figures.jobs) {
    if (status.completion_time > 0 && now - status.completion_time > kKeptSeconds) continue;
    jobs.SetCommon({key.namespace_, key.name});
    AddStatus(status, jobs);
    const JobKey job{key.namespace_, key.name};
    if (const auto hosted = figures.hosted.find(job); hosted != figures.hosted.end()) {
      AddFigures(hosted->second, jobs);
      continue;
    }
    JobTotals totals = status.progress.totals;
    if (const auto released = figures.released.find(job); released != figures.released.end())
      totals = Greater(totals, released->second);
    // None: it has not trained, or under a release that kept none.
    if (totals != JobTotals{}) AddTotals(totals, jobs);
  }
  std::vector<MetricFamily> families;
  own.MoveTo(families);
  jobs.MoveTo(families);
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace longstride
