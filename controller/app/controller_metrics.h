// The controller's /metrics: controller-runtime's names for what every controller has, and
// longstride_job_* for each job, by the labels job_namespace and job_name. docs/metrics.md has
// those of the workers.
#pragma once

#include <map>
#include <string>

#include "controller/app/reconcile_times.h"
#include "controller/kube/resource.h"
#include "controller/reconcile/job_status.h"

namespace longstride {

// What is measured, read anew for each scrape.
struct ControllerFigures {
  bool leading = false;
  ReconcileCounts reconciles;
  int64_t queue_depth = 0;
  int64_t api_requests = 0;
  int64_t hosted_jobs = 0;
  int64_t events_dropped = 0;
  std::map<kube::ObjectKey, JobStatus> jobs;
};

// In Prometheus' text format. Series of a job go five minutes after its end. `now`: Unix seconds.
[[nodiscard]] std::string MetricsText(const ControllerFigures& figures, double now);

}  // namespace longstride
