// The controller's metrics as one table: what controller/app exports, under these names and no
// others, and what docs/controller-metrics.md says. Names follow controller-runtime and client-go
// where they have one for the thing, so that existing dashboards and alerts fit; a job's own are
// longstride_job_*, with labels job_name and job_namespace (an exporter's own "job" and "namespace"
// would be overwritten by the scrape).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/base/metric_row.h"

namespace longstride::controller {

struct MetricDescription {
  const char* name;
  MetricType type;
  const char* unit;  // "bytes", "samples", ...; "" = a number without unit
  std::vector<std::string> labels;
  const char* help;
};

// Of the replica itself: reconciling, queue, API requests, leadership, process, coordinator.
[[nodiscard]] std::span<const MetricDescription> ControllerMetrics();
// Of the jobs; exported by the leader alone, so that a worker's death loses nothing. All but the
// labels job_name and job_namespace is listed. Series of a job go five minutes after its end at the
// latest.
[[nodiscard]] std::span<const MetricDescription> JobMetrics();

// The text of docs/controller-metrics.md.
[[nodiscard]] std::string RenderControllerMetricsMarkdown();

}  // namespace longstride::controller
