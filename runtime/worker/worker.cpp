#include "runtime/worker/worker.h"

#include <algorithm>
#include <mutex>
#include <random>

#include "core/base/format.h"
#include "core/base/log.h"
#include "runtime/collective/address.h"
#include "runtime/membership/coordinator_store.h"
#include "runtime/model/model.h"
#include "runtime/profile/limits.h"
#include "runtime/profile/throughput.h"
#include "runtime/worker/endpoint.h"
#include "runtime/worker/process_setup.h"

namespace longstride {
namespace {

constexpr Duration kFlushTimeout = std::chrono::seconds(10);
// For the last reports of a job that is complete: the coordinator may be away, and nothing waits.
constexpr Duration kLastFlushTimeout = std::chrono::minutes(2);

std::string NewIncarnation() {
  std::random_device random;
  return Format("%08x%08x", random(), random());
}

// The engine's channel to the coordinator, with the metrics and this process's signals on the way.
class ObservedChannel final : public ControlChannel {
 public:
  ObservedChannel(ControlChannel& inner, WorkerMetrics& metrics)
      : inner_(inner), metrics_(metrics) {}
  std::vector<Plan> Plans() override { return inner_.Plans(); }
  BoundaryRequest Requested() override {
    return std::max(inner_.Requested(),
                    StopSignalled() ? BoundaryRequest::kLeave : BoundaryRequest::kNone);
  }
  void Report(const RoundReport& report) override {
    metrics_.Observe(report);
    inner_.Report(report);
  }

 private:
  ControlChannel& inner_;
  WorkerMetrics& metrics_;
};

std::vector<std::string> PurposeNames() {
  std::vector<std::string> names;
  for (int i = 0; i < kPurposeCount; ++i) names.emplace_back(PurposeName(static_cast<Purpose>(i)));
  return names;
}

}  // namespace

// Aborts the present generation's collective, also if it is asked to before there is one.
class Worker::AbortSwitch {
 public:
  void Reset() {
    const std::lock_guard lock(mutex_);
    aborted_ = false;
  }
  void Set(Collective* collective) {
    const std::lock_guard lock(mutex_);
    collective_ = collective;
    if (aborted_ && collective_ != nullptr) collective_->Abort();
  }
  void Abort() {
    const std::lock_guard lock(mutex_);
    aborted_ = true;
    if (collective_ != nullptr) collective_->Abort();
  }

 private:
  std::mutex mutex_;
  bool aborted_ = false;
  Collective* collective_ = nullptr;
};

Worker::Worker(const WorkerOptions& options)
    : options_(options),
      id_{options.group, options.index, NewIncarnation()},
      abort_(std::make_shared<AbortSwitch>()) {}

Worker::~Worker() = default;

Status Worker::Run() {
  LONGSTRIDE_RETURN_IF_ERROR(Prepare());
  LONGSTRIDE_ASSIGN_OR_RETURN(WorkerProfile profile, Profile());
  LONGSTRIDE_RETURN_IF_ERROR(JoinJob(std::move(profile)));
  const Result<Outcome> outcome = Train();
  Status status;
  if (!outcome.ok()) {
    status = outcome.error();
  } else if (outcome.value() == Outcome::kUnfit) {
    status = TransientError(
        "this worker's update was not finite in several rounds in a row, while "
        "others' were: it should start anew");
  } else if (outcome.value() != Outcome::kCompleted) {
    const std::string reason = channel_->stop_reason();
    status = InterruptedError("stopped: " +
                              (reason.empty() ? std::string("a signal asked for it") : reason));
  }
  LeaveJob(status);
  return status;
}

Status Worker::Prepare() {
  LONGSTRIDE_ASSIGN_OR_RETURN(const HostPort coordinator, ParseHostPort(options_.coordinator));
  client_ =
      MakeHttpCoordinatorClient({options_.coordinator, "", options_.token_file, options_.ca_file});
  LONGSTRIDE_ASSIGN_OR_RETURN(job_, client_->FetchJob());
  LONGSTRIDE_ASSIGN_OR_RETURN(address_, AddressTowards(coordinator.host, coordinator.port));

  const auto seed = static_cast<uint64_t>(job_.spec.seed);
  LONGSTRIDE_ASSIGN_OR_RETURN(DatasetPair data, OpenDatasets(job_.spec.data, seed));
  train_ = std::move(data.train);
  LONGSTRIDE_ASSIGN_OR_RETURN(
      auto model, MakeModel(job_.spec.model, train_->shape(), job_.spec.training.precision, seed));
  EngineOptions engine;
  engine.job = job_;
  engine.checkpoint_directory = options_.out + "/checkpoints";
  LONGSTRIDE_ASSIGN_OR_RETURN(
      engine_, MakeEngine(std::move(engine), train_, std::move(data.evaluation), std::move(model)));
  if (!options_.resume.empty())
    LONGSTRIDE_RETURN_IF_ERROR(engine_->Resume(options_.resume + "/checkpoints"));
  return Status();
}

Result<WorkerProfile> Worker::Profile() {
  const auto group = std::find_if(job_.spec.workers.begin(), job_.spec.workers.end(),
                                  [&](const WorkerGroup& g) { return g.name == id_.group; });
  if (group == job_.spec.workers.end())
    return UserError("the job has no worker group \"" + id_.group + "\"");
  const MachineLimits limits = ReadMachineLimits();

  WorkerProfile profile;
  profile.device_name = CpuName();
  profile.threads = options_.threads > 0 ? options_.threads : ThreadCount(limits);
  profile.memory_limit_bytes =
      TighterLimit(TighterLimit(limits.memory_limit_bytes, options_.memory_bytes),
                   job_.spec.limits.memory_bytes);
  ThroughputOptions throughput;
  throughput.max_batch = std::max<int64_t>(
      1, std::min({group->batch.max, job_.spec.limits.max_global_batch, train_->size()}));
  throughput.memory_limit_bytes = profile.memory_limit_bytes;
  // Opening the data may have taken more memory than small steps do, which would hide their growth.
  ReturnFreedMemory();
  const bool can_reset = ResetPeakResidentBytes();
  const ThroughputProbe probe{
      [this](int64_t batch, int64_t micro_batch) -> Result<double> {
        if (StopSignalled()) return InterruptedError("stopped by a signal before training began");
        return engine_->TimeStep(batch, micro_batch);
      },
      // Freed memory stays with the process, so where the peak cannot be reset the present amount
      // is as good.
      [can_reset] { return can_reset ? PeakResidentBytes() : ResidentBytes(); }};
  LONGSTRIDE_ASSIGN_OR_RETURN(ThroughputProfile measured,
                              MeasureThroughput(probe, throughput, clock_));
  profile.alpha = measured.alpha;
  profile.beta = measured.beta;
  profile.micro_batch_cap = measured.micro_batch_cap;
  profile.memory_peak_bytes = measured.memory_peak_bytes;
  profile.points = std::move(measured.points);
  return profile;
}

Status Worker::JoinJob(WorkerProfile profile) {
  MetricsOptions metrics;
  metrics.address = options_.metrics_port > 0
                        ? Format("0.0.0.0:%lld", static_cast<long long>(options_.metrics_port))
                        : std::string("127.0.0.1:0");
  metrics.worker = id_;
  metrics.device = profile.device;
  metrics.device_name = profile.device_name;
  metrics.memory_limit_bytes = profile.memory_limit_bytes;
  metrics.purposes = PurposeNames();
  LONGSTRIDE_ASSIGN_OR_RETURN(metrics_, WorkerMetrics::Start(metrics));
  LogInfo("worker",
          Format("step time %s + %s a sample, micro-batches of at most %lld, %lld threads; metrics "
                 "on port %d",
                 FormatSeconds(profile.alpha).c_str(), FormatSeconds(profile.beta).c_str(),
                 static_cast<long long>(profile.micro_batch_cap),
                 static_cast<long long>(profile.threads), metrics_->port()));

  JoinRequest join;
  join.worker = id_;
  join.address = address_;
  join.metrics_port = metrics_->port();
  join.profile = std::move(profile);
  join.round = engine_->round();
  join.parameters = engine_->parameter_count();
  join.train_samples = train_->size();
  LONGSTRIDE_RETURN_IF_ERROR(client_->Join(join));
  channel_ = std::make_unique<QueuedControlChannel>(
      client_, std::move(join), [abort = abort_](const HeartbeatReply& reply) {
        LogWarning("worker", "the coordinator ends this generation: " + reply.reason);
        abort->Abort();
      });
  return Status();
}

Result<Outcome> Worker::Train() {
  std::string reason = "it has joined";
  while (true) {
    Result<Generation> generation = client_->AwaitGeneration(
        id_, generation_, engine_->round(), reason, [] { return StopSignalled(); });
    if (!generation.ok()) {
      // Nothing is left to do: the job is complete, or goes on without this worker.
      const bool over = generation.error().code == ErrorCode::kInterrupted && !StopSignalled();
      if (over) LogInfo("worker", generation.error().message);
      if (over && generation_.counter > 0) return Outcome::kCompleted;
      return generation.error();
    }
    generation_ = generation->id;
    const Result<Outcome> outcome = TrainGeneration(*generation);
    if (outcome.ok() && *outcome != Outcome::kReformed) return outcome;
    channel_->Left(engine_->round());
    if (!outcome.ok()) {
      const ErrorCode code = outcome.error().code;
      if (code != ErrorCode::kLostPeer && code != ErrorCode::kTransient) return outcome;
      reason = outcome.error().message;
      // The others may be waiting for this worker, and the coordinator for their reports.
      (void)client_->Heartbeat({id_, generation_, engine_->round(), /*broken=*/true});
      LogWarning("worker", Format("generation (%lld, %lld) is over after round %lld: %s",
                                  static_cast<long long>(generation_.term),
                                  static_cast<long long>(generation_.counter),
                                  static_cast<long long>(engine_->round()), reason.c_str()));
    } else {
      reason = "the members change";
    }
    // The coordinator must know the rounds that were committed before it forms the next one.
    if (const Status flushed = channel_->Flush(kFlushTimeout); !flushed.ok())
      LogWarning("worker", flushed.error().message);
  }
}

Result<Outcome> Worker::TrainGeneration(const Generation& generation) {
  abort_->Reset();
  channel_->Enter(generation, engine_->round());
  GlooOptions gloo;
  gloo.rank = static_cast<int>(generation.rank);
  gloo.size = static_cast<int>(generation.members.size());
  gloo.address = address_;
  const auto store = std::make_shared<CoordinatorStore>(client_, generation.id, gloo.size);
  LONGSTRIDE_ASSIGN_OR_RETURN(const std::unique_ptr<Collective> collective,
                              MakeGlooCollective(gloo, store));
  LogInfo("worker",
          Format("generation (%lld, %lld): rank %d of %d", static_cast<long long>(generation_.term),
                 static_cast<long long>(generation_.counter), gloo.rank, gloo.size));
  abort_->Set(collective.get());
  ObservedChannel channel(*channel_, *metrics_);
  Result<Outcome> outcome = engine_->Run(generation, *collective, channel);
  abort_->Set(nullptr);
  return outcome;
}

void Worker::LeaveJob(const Status& status) {
  channel_->Leaving();
  const Duration patience = status.ok() ? kLastFlushTimeout : kFlushTimeout;
  if (const Status flushed = channel_->Flush(patience); !flushed.ok()) {
    LogWarning("worker",
               "the last reports did not reach the coordinator: " + flushed.error().message);
  }
  LeaveRequest leave;
  leave.worker = id_;
  leave.generation = generation_;
  leave.round = engine_->round();
  leave.exit_code = status.ok() ? 0 : ExitCodeOf(status.error().code);
  leave.reason = status.ok() ? "completed" : status.error().message;
  if (const Status left = client_->Leave(leave); !left.ok()) {
    LogWarning("worker",
               "the coordinator did not hear that this worker leaves: " + left.error().message);
  }
  channel_.reset();
}

}  // namespace longstride
