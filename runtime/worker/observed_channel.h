// The engine's channel to the coordinator, with the metrics, the watch and this process's signals
// on the way. Everything it is given must outlive it.
#pragma once

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "runtime/metrics/worker_metrics.h"
#include "runtime/training/control_channel.h"
#include "runtime/worker/process_setup.h"
#include "runtime/worker/training_watch.h"

namespace longstride {

class ObservedChannel final : public ControlChannel {
 public:
  // `at_boundary` is called after each committed round, on the engine's thread.
  ObservedChannel(ControlChannel& inner, WorkerMetrics& metrics, TrainingWatch& watch,
                  std::function<void()> at_boundary)
      : inner_(inner), metrics_(metrics), watch_(watch), at_boundary_(std::move(at_boundary)) {}
  std::vector<Plan> Plans() override { return inner_.Plans(); }
  BoundaryRequest Requested() override {
    return std::max(inner_.Requested(),
                    StopSignalled() ? BoundaryRequest::kLeave : BoundaryRequest::kNone);
  }
  void Report(const RoundReport& report) override {
    metrics_.Observe(report);
    watch_.Committed(report);
    inner_.Report(report);
    at_boundary_();
  }
  void Begins(const OwnWork& work) override { watch_.Begins(work, clock_.Now()); }

 private:
  ControlChannel& inner_;
  WorkerMetrics& metrics_;
  TrainingWatch& watch_;
  std::function<void()> at_boundary_;
  const SystemClock clock_{};
};

}  // namespace longstride
