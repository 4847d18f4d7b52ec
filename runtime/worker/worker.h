// One worker from start to end: job, data, model, profile, join, training, leave.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "runtime/data/dataset.h"
#include "runtime/device/device.h"
#include "runtime/membership/control_channel.h"
#include "runtime/membership/membership.h"
#include "runtime/membership/tether.h"
#include "runtime/metrics/worker_metrics.h"
#include "runtime/profile/memory_model.h"
#include "runtime/profile/nvml.h"
#include "runtime/training/engine.h"
#include "runtime/worker/options.h"
#include "runtime/worker/training_watch.h"

namespace longstride {

class AbortSwitch;

class Worker {
 public:
  explicit Worker(const WorkerOptions& options);
  ~Worker();

  // Trains until the job is done (OK), a stop was asked for (kInterrupted) or something failed.
  // Tells the coordinator how it ended, if it had joined. The metrics go on being served until
  // destruction, which waits for the server, up to 2 s. Where training can neither end nor be
  // waited for (TrainingWatch), the coordinator is told and the process ended from within.
  Status Run();

 private:
  Status Prepare();
  Result<WorkerProfile> Profile();
  // What the profile says of where it computes, and how to measure memory there.
  void DescribeDevice(WorkerProfile& profile) const;
  [[nodiscard]] std::function<int64_t()> PeakMemoryProbe() const;
  Result<std::unique_ptr<Collective>> Connect(const Generation& generation);
  Status JoinJob(WorkerProfile profile);
  // The memory that this worker may take now, in bytes; 0 = not known.
  [[nodiscard]] int64_t MemoryLimit() const;
  void FindGpus();
  // At round boundaries, once a second at most: what has changed about the machine.
  void LookAtMachine();
  Result<Outcome> Train();
  Result<Outcome> TrainGeneration(const Generation& generation);
  // On a thread of its own, while the worker trains.
  void KeepWatch(const std::stop_token& stop);
  [[noreturn]] void EndNow(const Error& why);
  void LeaveJob(const Status& status);

  const WorkerOptions options_;
  const WorkerId id_;
  const SystemClock clock_;
  std::shared_ptr<CoordinatorClient> client_;
  TrainingJob job_;
  Device device_;
  std::shared_ptr<const Dataset> train_;
  std::unique_ptr<Engine> engine_;
  std::optional<MemoryLimitWatch> memory_;
  std::unique_ptr<Nvml> gpus_;  // null: the machine has none
  TimePoint memory_seen_;
  TimePoint gpus_seen_;
  std::unique_ptr<WorkerMetrics> metrics_;
  TrainingWatch watch_;
  std::string address_;
  std::shared_ptr<AbortSwitch> abort_;             // pulled at the coordinator's word
  std::unique_ptr<Tether> tether_;                 // after JoinJob, which tells its port
  std::unique_ptr<QueuedControlChannel> channel_;  // after Join
  GenerationId generation_;
};

}  // namespace longstride
