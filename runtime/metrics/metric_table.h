// The worker's metrics as one table: it registers them and writes docs/metrics.md, so the two
// cannot disagree. Names follow Prometheus' conventions: base units, _total for counters.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/base/metric_row.h"

namespace longstride {

// Positions in the table.
enum class Metric {
  kInfo,
  kRound,
  kRounds,
  kSamples,
  kDiscardedSamples,
  kLocalBatch,
  kGlobalBatch,
  kLocalSteps,
  kLearningRate,
  kLoss,
  kEvaluationLoss,
  kEvaluationAccuracy,
  kNoiseScale,
  kNormTestRatio,
  kSkew,
  kNonfiniteStatistics,
  kSentBytes,
  kReceivedBytes,
  kActivitySeconds,
  kRoundSeconds,
  kMemory,
  kMemoryLimit,
  kMicroBatchCap,
  kGenerationTerm,
  kGenerationCounter,
  kPlanVersion,
  kCheckpoints,
  kGpuMemory,
  kGpuMemoryTotal,
  kGpuUtilization,
  kGpuEccUncorrected,
  kGpuThrottled,
};
inline constexpr int kMetricCount = static_cast<int>(Metric::kGpuThrottled) + 1;

struct MetricDescription {
  Metric metric;
  const char* name;
  MetricType type;
  const char* unit;  // "bytes", "samples", ...; "" = a number without unit
  std::vector<std::string> labels;
  const char* help;
};

// In the order of the enumeration.
[[nodiscard]] std::span<const MetricDescription> MetricTable();

// Bounds in seconds of every duration histogram; the same everywhere, so that they can be added up.
[[nodiscard]] const std::vector<double>& DurationBuckets();

// The text of docs/metrics.md.
[[nodiscard]] std::string RenderMetricsMarkdown();

}  // namespace longstride
