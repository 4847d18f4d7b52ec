// The controller's /metrics: the figures under the names of controller/metrics/metric_table.h.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "controller/app/process_usage.h"
#include "controller/app/reconcile_times.h"
#include "controller/http/job_key.h"
#include "controller/kube/client.h"
#include "controller/kube/work_queue.h"
#include "controller/reconcile/job_figures.h"
#include "controller/reconcile/job_status.h"

namespace longstride {

// What is measured, read anew for each scrape.
struct ControllerFigures {
  bool leading = false;
  ReconcileCounts reconciles;
  int64_t threads = 0;  // that look at jobs
  kube::QueueCounts queue;
  kube::RequestCounts api_requests;
  std::map<std::string, int64_t> watch_restarts;  // by kind
  std::map<int, int64_t> worker_requests;         // by HTTP status
  int64_t events_dropped = 0;
  ProcessUsage process;
  std::map<kube::ObjectKey, JobStatus> jobs;
  std::map<JobKey, JobFigures> hosted;
  std::map<JobKey, JobTotals> released;  // of jobs that were hosted, as it ended
};

// In Prometheus' text format. What is not known has no series. Series of a job go five minutes
// after its end. Totals of a job that is not hosted are the status's, or what was counted when its
// hosting ended, where that is more: counters do not go back. `now`: Unix seconds.
[[nodiscard]] std::string MetricsText(const ControllerFigures& figures, double now);

}  // namespace longstride
