#include "controller/metrics/metric_table.h"

namespace longstride::controller {
namespace {

void AddTable(std::span<const MetricDescription> metrics, std::string& text) {
  text += kMetricTableHead;
  for (const MetricDescription& m : metrics)
    text += MetricRow(m.name, m.type, m.unit, m.labels, m.help);
}

}  // namespace

std::span<const MetricDescription> ControllerMetrics() {
  using enum MetricType;
  static const std::vector<MetricDescription>* const kTable = new std::vector<MetricDescription>{
      {"controller_runtime_reconcile_total",
       kCounter,
       "reconciles",
       {"controller", "result"},
       "Looks at a job, by result: success, error, requeue_after."},
      {"controller_runtime_reconcile_errors_total",
       kCounter,
       "errors",
       {"controller"},
       "Looks that failed."},
      {"controller_runtime_terminal_reconcile_errors_total",
       kCounter,
       "errors",
       {"controller"},
       "Those of them that are not tried again."},
      {"controller_runtime_reconcile_time_seconds",
       kHistogram,
       "seconds",
       {"controller"},
       "How long a look at a job took."},
      {"controller_runtime_active_workers",
       kGauge,
       "threads",
       {"controller"},
       "Threads that look at a job right now."},
      {"controller_runtime_max_concurrent_reconciles",
       kGauge,
       "threads",
       {"controller"},
       "Threads that may look at jobs at once."},
      {"workqueue_depth",
       kGauge,
       "keys",
       {"name", "controller"},
       "Jobs that wait to be looked at."},
      {"workqueue_adds_total",
       kCounter,
       "keys",
       {"name", "controller"},
       "Times that a job was put in the queue while it did not wait there."},
      {"workqueue_retries_total",
       kCounter,
       "keys",
       {"name", "controller"},
       "Times that a job was put back because of an error."},
      {"workqueue_queue_duration_seconds",
       kHistogram,
       "seconds",
       {"name", "controller"},
       "How long a job waited in the queue."},
      {"workqueue_work_duration_seconds",
       kHistogram,
       "seconds",
       {"name", "controller"},
       "How long a job was in hand after it had waited."},
      {"workqueue_unfinished_work_seconds",
       kGauge,
       "seconds",
       {"name", "controller"},
       "How long the jobs that are in hand have been so, together; grows when threads are stuck."},
      {"workqueue_longest_running_processor_seconds",
       kGauge,
       "seconds",
       {"name", "controller"},
       "How long the job that is in hand the longest has been so."},
      {"rest_client_requests_total",
       kCounter,
       "requests",
       {"code", "method"},
       "Requests to the API server, watches included, by HTTP status; code 0 = no answer."},
      {"leader_election_master_status",
       kGauge,
       "",
       {"name"},
       "1 while this replica leads, else 0."},
      {"longstride_watch_restarts_total",
       kCounter,
       "watches",
       {"kind"},
       "Watches that were begun again, as they broke or had their time (5 to 10 minutes)."},
      {"longstride_coordinator_requests_total",
       kCounter,
       "requests",
       {"code"},
       "Requests of workers that were answered, by HTTP status."},
      {"longstride_hosted_jobs", kGauge, "jobs", {}, "Jobs whose coordinator is hosted here."},
      {"longstride_events_dropped_total",
       kCounter,
       "events",
       {},
       "Kubernetes events that were not written, as too many waited."},
      {"process_resident_memory_bytes", kGauge, "bytes", {}, "Physical memory of this replica."},
      {"process_cpu_seconds_total", kCounter, "seconds", {}, "CPU time of this replica."},
      {"process_start_time_seconds",
       kGauge,
       "seconds",
       {},
       "Unix time at which this replica began."},
  };
  return *kTable;
}

std::span<const MetricDescription> JobMetrics() {
  using enum MetricType;
  static const std::vector<MetricDescription>* const kTable = new std::vector<MetricDescription>{
      {"longstride_job_state",
       kGauge,
       "",
       {"state"},
       "1 for the state that the job is in: status.state."},
      {"longstride_job_replicas", kGauge, "workers", {}, "Workers that the job should have."},
      {"longstride_job_ready_replicas", kGauge, "workers", {}, "Those of them that are ready."},
      {"longstride_job_round", kGauge, "rounds", {}, "Last committed round."},
      {"longstride_job_samples_total",
       kCounter,
       "samples",
       {},
       "Training samples in committed rounds."},
      {"longstride_job_epoch", kGauge, "epochs", {}, "Passes over the training data."},
      {"longstride_job_global_batch_samples",
       kGauge,
       "samples",
       {},
       "Samples of one local step over all workers (B)."},
      {"longstride_job_local_steps",
       kGauge,
       "steps",
       {},
       "Local optimizer steps between two synchronizations (H)."},
      {"longstride_job_learning_rate", kGauge, "", {}, "Learning rate of the last local step."},
      {"longstride_job_loss", kGauge, "", {}, "Mean training loss of the last round."},
      {"longstride_job_evaluation_loss",
       kGauge,
       "",
       {},
       "Loss on the evaluation data; absent until the first evaluation."},
      {"longstride_job_evaluation_accuracy_ratio",
       kGauge,
       "ratio",
       {},
       "Share of the evaluation data that is predicted right; absent until the first evaluation."},
      {"longstride_job_noise_scale_samples",
       kGauge,
       "samples",
       {},
       "Gradient noise scale; batches well below it gain from growing. Absent until measured."},
      {"longstride_job_norm_test_ratio",
       kGauge,
       "ratio",
       {},
       "Noise of the batch gradient over what the norm test allows; above 1 the batch grows. "
       "Absent until measured."},
      {"longstride_job_sent_bytes_total",
       kCounter,
       "bytes",
       {"purpose"},
       "Payload bytes that all workers together sent to each other: model, statistics, buffers, "
       "state, evaluation, control."},
      {"longstride_job_data_parallel_bytes_total",
       kCounter,
       "bytes",
       {},
       "Bytes that data-parallel SGD would have sent for the same samples in the same batches: "
       "2 (M - 1) times 4 bytes a parameter, each local step."},
      {"longstride_job_activity_seconds_total",
       kCounter,
       "seconds",
       {"activity"},
       "Time of all workers by activity: data, compute, communication (waiting for peers "
       "included), outer, evaluation, checkpoint."},
      {"longstride_job_worker_samples_total",
       kCounter,
       "samples",
       {"worker"},
       "Training samples that each worker contributed, by group and index (worker-0)."},
      {"longstride_job_worker_sent_bytes_total",
       kCounter,
       "bytes",
       {"worker"},
       "Payload bytes that each worker sent."},
      {"longstride_job_generation",
       kGauge,
       "",
       {},
       "Counter of the generation; it grows with every change of membership."},
      {"longstride_job_restarts_total", kCounter, "workers", {}, "Workers lost and replaced."},
      {"longstride_job_discarded_samples_total",
       kCounter,
       "samples",
       {},
       "Samples that were trained on and lost, as no checkpoint held them."},
      {"longstride_job_last_checkpoint_timestamp_seconds",
       kGauge,
       "seconds",
       {},
       "Unix time of the newest complete checkpoint; absent until there is one."},
  };
  return *kTable;
}

std::string RenderControllerMetricsMarkdown() {
  std::string text =
      "# Metrics of the controller\n\n"
      "<!-- Generated from controller/metrics/metric_table.cpp by `make verify`; do not edit. "
      "-->\n\n"
      "Each replica of `longstride-controller` serves these on `/metrics`. "
      "[Metrics of the worker](metrics.md) are served by the\n"
      "workers' pods.\n\n"
      "## Of the replica\n\n";
  AddTable(ControllerMetrics(), text);
  text +=
      "\n## Of the jobs\n\n"
      "Exported by the leader alone, so that a worker's death loses nothing. All have the labels "
      "`job_name` and\n"
      "`job_namespace` besides those listed. What is not known yet has no series.\n\n"
      "What the job's status holds lives on with it, until five minutes after the job's end: also "
      "`sent_bytes`,\n"
      "`data_parallel_bytes` and `activity_seconds`, which are those of `status.totals` while the "
      "job's coordinator is not hosted.\n"
      "The rest is exported while it is hosted, until the job ends or is suspended.\n\n"
      "Under one leader these three never go back, however old the status is. When another takes "
      "the job over, they go on from\n"
      "`status.totals`, or from the sum of what the workers that come back say that they did, "
      "where that is more; `worker_*` go on\n"
      "from what the worker says, so from 0 where its process is new. The status is written at "
      "once when a job completes, fails\n"
      "or is suspended, and while it trains about every ten seconds. So the next leader's series "
      "may begin lower by what workers\n"
      "that are gone did after the last write, and by the rounds that workers of a failed job "
      "ended after its failure. Learning\n"
      "rate, evaluation loss, noise scale and norm test come with the next round that has "
      "them.\n\n";
  AddTable(JobMetrics(), text);
  return text;
}

}  // namespace longstride::controller
