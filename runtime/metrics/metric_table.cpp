#include "runtime/metrics/metric_table.h"

#include "core/base/format.h"

namespace longstride {

std::span<const MetricDescription> MetricTable() {
  using enum MetricType;
  static const std::vector<MetricDescription>* const kTable = new std::vector<MetricDescription>{
      {Metric::kInfo,
       "longstride_worker_info",
       kGauge,
       "",
       {"group", "index", "device", "device_name"},
       "Always 1; the labels say which worker this is and what it runs on."},
      {Metric::kRound,
       "longstride_worker_round",
       kGauge,
       "rounds",
       {},
       "Last committed round of the job; equal on all workers that are in step."},
      {Metric::kRounds,
       "longstride_worker_rounds_total",
       kCounter,
       "rounds",
       {},
       "Rounds that this process committed."},
      {Metric::kSamples,
       "longstride_worker_samples_total",
       kCounter,
       "samples",
       {},
       "Training samples that this worker contributed to committed rounds."},
      {Metric::kDiscardedSamples,
       "longstride_worker_discarded_samples_total",
       kCounter,
       "samples",
       {},
       "Samples whose change of the parameters was not finite and was left out of the average."},
      {Metric::kLocalBatch,
       "longstride_worker_local_batch_samples",
       kGauge,
       "samples",
       {},
       "Samples of one local step of this worker (b_m)."},
      {Metric::kGlobalBatch,
       "longstride_worker_global_batch_samples",
       kGauge,
       "samples",
       {},
       "Samples of one local step over all workers (B)."},
      {Metric::kLocalSteps,
       "longstride_worker_local_steps",
       kGauge,
       "steps",
       {},
       "Local optimizer steps between two synchronizations (H)."},
      {Metric::kLearningRate,
       "longstride_worker_learning_rate",
       kGauge,
       "",
       {},
       "Learning rate of the last local step."},
      {Metric::kLoss,
       "longstride_worker_loss",
       kGauge,
       "",
       {},
       "Mean training loss over the samples of the last round, all workers together."},
      {Metric::kEvaluationLoss,
       "longstride_worker_evaluation_loss",
       kGauge,
       "",
       {},
       "Loss on the evaluation data; absent until the first evaluation."},
      {Metric::kEvaluationAccuracy,
       "longstride_worker_evaluation_accuracy_ratio",
       kGauge,
       "ratio",
       {},
       "Share of the evaluation data that is predicted right; absent until the first evaluation."},
      {Metric::kNoiseScale,
       "longstride_worker_noise_scale_samples",
       kGauge,
       "samples",
       {},
       "Gradient noise scale: variance of one sample's gradient over the squared norm of the mean "
       "gradient. "
       "Batches well below it gain from growing."},
      {Metric::kNormTestRatio,
       "longstride_worker_norm_test_ratio",
       kGauge,
       "ratio",
       {},
       "Noise of the batch gradient over what the norm test allows; above 1 the batch grows."},
      {Metric::kSkew,
       "longstride_worker_gradient_skew",
       kGauge,
       "",
       {},
       "Part of the gradient's variance per sample that lies between workers. It shrinks with "
       "fewer local steps "
       "or evener data, not with larger batches."},
      {Metric::kNonfiniteStatistics,
       "longstride_worker_nonfinite_statistics_total",
       kCounter,
       "rounds",
       {},
       "Rounds whose norm test was skipped because a statistic was not finite or could not be "
       "estimated."},
      {Metric::kSentBytes,
       "longstride_worker_sent_bytes_total",
       kCounter,
       "bytes",
       {"purpose"},
       "Payload bytes sent to other workers: model, statistics, buffers, state, evaluation, "
       "control."},
      {Metric::kReceivedBytes,
       "longstride_worker_received_bytes_total",
       kCounter,
       "bytes",
       {"purpose"},
       "Payload bytes received from other workers, by the same purposes."},
      {Metric::kActivitySeconds,
       "longstride_worker_activity_seconds_total",
       kCounter,
       "seconds",
       {"activity"},
       "Wall time by activity: data, compute, communication (waiting for peers included), outer, "
       "evaluation, "
       "checkpoint."},
      {Metric::kRoundSeconds,
       "longstride_worker_round_duration_seconds",
       kHistogram,
       "seconds",
       {},
       "Wall time of a round, synchronization included."},
      {Metric::kMemory,
       "longstride_worker_resident_memory_bytes",
       kGauge,
       "bytes",
       {},
       "Physical memory that the worker held at the end of the last round."},
      {Metric::kMemoryLimit,
       "longstride_worker_memory_limit_bytes",
       kGauge,
       "bytes",
       {},
       "Memory at which the worker would be killed."},
      {Metric::kMicroBatchCap,
       "longstride_worker_micro_batch_cap_samples",
       kGauge,
       "samples",
       {},
       "Largest micro-batch that memory is known to hold; it falls when memory runs out."},
      {Metric::kGenerationTerm,
       "longstride_worker_generation_term",
       kGauge,
       "",
       {},
       "Term of the generation (set of workers) that the last round belonged to."},
      {Metric::kGenerationCounter,
       "longstride_worker_generation_counter",
       kGauge,
       "",
       {},
       "Counter of the generation within its term; it grows with every change of membership."},
      {Metric::kPlanVersion,
       "longstride_worker_plan_version",
       kGauge,
       "",
       {},
       "Version of the plan that the last round followed."},
      {Metric::kCheckpoints,
       "longstride_worker_checkpoints_total",
       kCounter,
       "checkpoints",
       {},
       "Round boundaries at which a checkpoint was asked for."},
      {Metric::kGpuMemory,
       "longstride_worker_gpu_memory_used_bytes",
       kGauge,
       "bytes",
       {"gpu"},
       "Memory of a GPU of the worker's machine in use by all processes, as NVML says. GPU metrics "
       "are absent on machines without GPUs."},
      {Metric::kGpuMemoryTotal,
       "longstride_worker_gpu_memory_total_bytes",
       kGauge,
       "bytes",
       {"gpu"},
       "Memory of the GPU."},
      {Metric::kGpuUtilization,
       "longstride_worker_gpu_utilization_ratio",
       kGauge,
       "ratio",
       {"gpu"},
       "Share of the last second in which the GPU ran a kernel; absent under MIG."},
      {Metric::kGpuEccUncorrected,
       "longstride_worker_gpu_ecc_uncorrected_errors",
       kGauge,
       "errors",
       {"gpu"},
       "Memory errors that the GPU could not correct since its driver was loaded."},
      {Metric::kGpuThrottled,
       "longstride_worker_gpu_throttled",
       kGauge,
       "",
       {"gpu", "reason"},
       "1 while the GPU's clocks are held down for the reason named; 0 when no longer."},
  };
  return *kTable;
}

const std::vector<double>& DurationBuckets() {
  static const std::vector<double>* const kBuckets =
      new std::vector<double>{0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000};
  return *kBuckets;
}

std::string RenderMetricsMarkdown() {
  std::string text =
      "# Metrics of the worker\n\n"
      "<!-- Generated from runtime/metrics/metric_table.cpp by `make verify`; do not edit. -->\n\n"
      "Each `longstride-worker` serves these in Prometheus' text format on `/metrics`: by default "
      "on a free port of\n"
      "the loopback address (written to its log), with `--metrics-port P` on port P of every "
      "address. In the operator's pods it\n"
      "is the container port named `metrics`, 9464.\n\n"
      "The labels `job_name` and `job_namespace`, by which the dashboards select, are not the "
      "worker's: the scrape configuration\n"
      "([operations](operations.md)) or the chart's PodMonitor adds them.\n\n";
  text += kMetricTableHead;
  for (const MetricDescription& m : MetricTable()) {
    text += MetricRow(m.name, m.type, m.unit, m.labels, m.help);
  }
  text += "\nBuckets of duration histograms, in seconds:";
  for (double bucket : DurationBuckets()) text += Format(" %g", bucket);
  text += ".\n";
  return text;
}

}  // namespace longstride
