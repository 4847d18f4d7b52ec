#include "controller/app/controller_metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <limits>
#include <vector>

namespace longstride {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr double kKeptSeconds = 300;  // a finished job's series

using Labels = std::vector<ClientMetric::Label>;

void AddValue(MetricFamily& family, const Labels& labels, double value) {
  ClientMetric metric;
  metric.label = labels;
  if (family.type == MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  family.metric.push_back(std::move(metric));
}

MetricFamily Family(const std::string& name, const std::string& help, MetricType type) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  return family;
}

struct JobMetric {
  const char* name;
  const char* help;
  MetricType type;
  double (*value)(const JobStatus&);
};
constexpr JobMetric kJobMetrics[] = {
    {"longstride_job_round", "Committed rounds.", MetricType::Gauge,
     [](const JobStatus& s) { return static_cast<double>(s.progress.round); }},
    {"longstride_job_samples", "Samples trained on.", MetricType::Gauge,
     [](const JobStatus& s) { return static_cast<double>(s.progress.samples); }},
    {"longstride_job_epoch", "Passes over the training data.", MetricType::Gauge,
     [](const JobStatus& s) { return s.progress.epoch; }},
    {"longstride_job_global_batch", "Samples a local step, over all workers.", MetricType::Gauge,
     [](const JobStatus& s) { return static_cast<double>(s.progress.global_batch); }},
    {"longstride_job_local_steps", "Local steps of a round.", MetricType::Gauge,
     [](const JobStatus& s) { return static_cast<double>(s.progress.local_steps); }},
    {"longstride_job_loss", "Training loss of the last round.", MetricType::Gauge,
     [](const JobStatus& s) { return s.progress.loss.value_or(0); }},
    {"longstride_job_accuracy", "Accuracy of the last evaluation.", MetricType::Gauge,
     [](const JobStatus& s) { return s.progress.accuracy.value_or(0); }},
    {"longstride_job_sent_bytes_total", "Bytes that its workers sent each other.",
     MetricType::Counter,
     [](const JobStatus& s) { return static_cast<double>(s.progress.bytes_sent); }},
    {"longstride_job_communication_ratio", "Share of the workers' time in communication.",
     MetricType::Gauge, [](const JobStatus& s) { return s.progress.communication_percent / 100; }},
    {"longstride_job_replicas", "Workers wanted.", MetricType::Gauge,
     [](const JobStatus& s) { return static_cast<double>(s.replicas); }},
    {"longstride_job_ready_replicas", "Workers ready.", MetricType::Gauge,
     [](const JobStatus& s) { return static_cast<double>(s.ready_replicas); }},
    {"longstride_job_restarts_total", "Pods that took the place of another.", MetricType::Counter,
     [](const JobStatus& s) { return static_cast<double>(s.restarts); }},
    {"longstride_job_discarded_samples_total", "Samples that were lost with all who knew them.",
     MetricType::Counter,
     [](const JobStatus& s) { return static_cast<double>(s.discarded_samples); }},
};

void AddReconciles(const ReconcileCounts& counts, const Labels& labels,
                   std::vector<MetricFamily>& families) {
  ClientMetric times;
  times.label = labels;
  uint64_t total = 0;
  for (size_t i = 0; i < counts.buckets.size(); ++i) {
    total += static_cast<uint64_t>(counts.buckets[i]);
    const double bound = i < kReconcileBuckets.size() ? kReconcileBuckets[i]
                                                      : std::numeric_limits<double>::infinity();
    times.histogram.bucket.push_back({total, bound});
  }
  times.histogram.sample_count = total;
  times.histogram.sample_sum = counts.seconds;
  AddValue(families.emplace_back(
               Family("controller_runtime_reconcile_total", "Looks at jobs.", MetricType::Counter)),
           labels, static_cast<double>(total));
  AddValue(
      families.emplace_back(Family("controller_runtime_reconcile_errors_total",
                                   "Looks at jobs that have to be repeated.", MetricType::Counter)),
      labels, static_cast<double>(counts.errors));
  families
      .emplace_back(Family("controller_runtime_reconcile_time_seconds", "Time of a look at a job.",
                           MetricType::Histogram))
      .metric.push_back(std::move(times));
}

void AddJobs(const ControllerFigures& figures, double now, std::vector<MetricFamily>& families) {
  std::vector<MetricFamily> own;
  for (const JobMetric& metric : kJobMetrics)
    own.push_back(Family(metric.name, metric.help, metric.type));
  MetricFamily state =
      Family("longstride_job_state", "1 for the state that the job is in.", MetricType::Gauge);
  for (const auto& [key, status] : figures.jobs) {
    if (status.completion_time > 0 && now - status.completion_time > kKeptSeconds) continue;
    const Labels labels = {{"job_namespace", key.namespace_}, {"job_name", key.name}};
    for (size_t i = 0; i < own.size(); ++i) AddValue(own[i], labels, kJobMetrics[i].value(status));
    Labels with_state = labels;
    with_state.push_back({"state", status.state});
    AddValue(state, with_state, 1);
  }
  own.push_back(std::move(state));
  for (MetricFamily& family : own) {
    if (!family.metric.empty()) families.push_back(std::move(family));
  }
}

}  // namespace

std::string MetricsText(const ControllerFigures& figures, double now) {
  std::vector<MetricFamily> families;
  const auto add = [&](const char* name, const char* help, MetricType type, const Labels& labels,
                       double value) {
    AddValue(families.emplace_back(Family(name, help, type)), labels, value);
  };
  const Labels controller = {{"controller", "trainingjob"}};
  const Labels queue = {{"name", "trainingjob"}};
  add("leader_election_master_status", "1 while this replica leads.", MetricType::Gauge,
      {{"name", "longstride-controller"}}, figures.leading ? 1 : 0);
  AddReconciles(figures.reconciles, controller, families);
  add("workqueue_depth", "Jobs that wait to be looked at.", MetricType::Gauge, queue,
      static_cast<double>(figures.queue_depth));
  add("rest_client_requests_total", "Requests to the API server.", MetricType::Counter, {},
      static_cast<double>(figures.api_requests));
  add("longstride_hosted_jobs", "Jobs whose coordinator is hosted here.", MetricType::Gauge, {},
      static_cast<double>(figures.hosted_jobs));
  add("longstride_events_dropped_total", "Events that were not written, for too many waited.",
      MetricType::Counter, {}, static_cast<double>(figures.events_dropped));
  AddJobs(figures, now, families);
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace longstride
