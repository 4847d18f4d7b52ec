#include "runtime/worker/worker.h"

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <random>
#include <thread>

#include "core/base/format.h"
#include "core/base/log.h"
#include "runtime/checkpoint/checkpoint_directory.h"
#include "runtime/collective/address.h"
#ifdef LONGSTRIDE_CUDA
#include "runtime/collective/nccl.h"
#endif
#include "runtime/data/shards.h"
#include "runtime/membership/coordinator_store.h"
#include "runtime/model/model.h"
#include "runtime/profile/limits.h"
#include "runtime/profile/throughput.h"
#include "runtime/worker/abort_switch.h"
#include "runtime/worker/endpoint.h"
#include "runtime/worker/observed_channel.h"
#include "runtime/worker/process_setup.h"

namespace longstride {
namespace {

constexpr Duration kFlushTimeout = std::chrono::seconds(10);
constexpr Duration kMemoryPeriod = std::chrono::seconds(1);
constexpr Duration kGpuPeriod = std::chrono::seconds(5);
// For the last reports of a job that is complete: the coordinator may be away, and nothing waits.
constexpr Duration kLastFlushTimeout = std::chrono::minutes(2);
// Of a worker that stops before: a job that was deleted has no coordinator, and its pods wait.
constexpr Duration kStoppedFlushTimeout = std::chrono::seconds(5);
// Of a worker that ends in the middle of a round; round_outlook.cpp leaves the time for it.
constexpr Duration kHurriedFlushTimeout = std::chrono::milliseconds(500);
constexpr Duration kWatchPeriod = std::chrono::milliseconds(100);

std::string NewIncarnation() {
  std::random_device random;
  return Format("%08x%08x", random(), random());
}

bool HasCheckpoint(const std::string& directory) {
  const auto rounds = checkpoint::CheckpointDirectory(directory).List();
  return !rounds.ok() || !rounds->empty();  // what cannot be read is Resume's to report
}

static_assert(kPurposeNames.size() == kPurposeCount);

}  // namespace

Worker::Worker(const WorkerOptions& options)
    : options_(options),
      id_{options.group, options.index,
          options.incarnation.empty() ? NewIncarnation() : options.incarnation},
      watch_(static_cast<double>(options.grace_seconds)),
      abort_(std::make_shared<AbortSwitch>()) {}

Worker::~Worker() {
  if (tether_) tether_->Stop();  // before the channel that it calls is gone
}

Status Worker::Run() {
  FindGpus();
  LONGSTRIDE_RETURN_IF_ERROR(Prepare());
  LONGSTRIDE_ASSIGN_OR_RETURN(WorkerProfile profile, Profile());
  LONGSTRIDE_RETURN_IF_ERROR(JoinJob(std::move(profile)));
  const Result<Outcome> outcome = [this] {
    const std::jthread watcher([this](const std::stop_token& stop) { KeepWatch(stop); });
    return Train();
  }();
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
  address_ = options_.address;
  if (address_.empty()) {
    LONGSTRIDE_ASSIGN_OR_RETURN(address_, AddressTowards(coordinator.host, coordinator.port));
  }

  const auto seed = static_cast<uint64_t>(job_.spec.seed);
  LONGSTRIDE_ASSIGN_OR_RETURN(DatasetPair data, OpenOwnDatasets(job_.spec, id_.group, id_.index));
  train_ = std::move(data.train);
  LONGSTRIDE_ASSIGN_OR_RETURN(
      auto model, MakeModel(job_.spec.model, train_->shape(), job_.spec.training.precision, seed));
  LONGSTRIDE_ASSIGN_OR_RETURN(device_, ChooseDevice(options_.device));
  EngineOptions engine;
  engine.job = job_;
  engine.device = device_.torch_name();
  if (!options_.out.empty()) engine.checkpoint_directory = options_.out + "/checkpoints";
  LONGSTRIDE_ASSIGN_OR_RETURN(
      engine_, MakeEngine(std::move(engine), train_, std::move(data.evaluation), std::move(model)));
  if (const std::string from = options_.resume + "/checkpoints";
      !options_.resume.empty() && (!options_.resume_if_any || HasCheckpoint(from)))
    LONGSTRIDE_RETURN_IF_ERROR(engine_->Resume(from));
  return Status();
}

Result<WorkerProfile> Worker::Profile() {
  const auto group = std::find_if(job_.spec.workers.begin(), job_.spec.workers.end(),
                                  [&](const WorkerGroup& g) { return g.name == id_.group; });
  if (group == job_.spec.workers.end())
    return UserError("the job has no worker group \"" + id_.group + "\"");
  WorkerProfile profile;
  DescribeDevice(profile);
  ThroughputOptions throughput;
  throughput.max_batch = std::max<int64_t>(
      1, std::min({group->batch.max, job_.spec.limits.max_global_batch, train_->size()}));
  if (options_.micro_batch > 0)
    throughput.max_batch = std::min(throughput.max_batch, options_.micro_batch);
  throughput.min_batch = engine_->min_batch();
  throughput.memory_limit_bytes = profile.memory_limit_bytes;
  const ThroughputProbe probe{
      [this](int64_t batch, int64_t micro_batch) -> Result<double> {
        if (StopSignalled()) return InterruptedError("stopped by a signal before training began");
        return engine_->TimeStep(batch, micro_batch);
      },
      PeakMemoryProbe()};
  LONGSTRIDE_ASSIGN_OR_RETURN(ThroughputProfile measured,
                              MeasureThroughput(probe, throughput, clock_));
  ReturnFreedMemory();  // training may need less than what was tried
  profile.alpha = measured.alpha;
  profile.beta = measured.beta;
  profile.micro_batch_cap = measured.micro_batch_cap;
  profile.memory_peak_bytes = measured.memory_peak_bytes;
  profile.points = std::move(measured.points);
  memory_.emplace(std::move(measured.memory), profile.memory_limit_bytes, profile.micro_batch_cap);
  return profile;
}

void Worker::DescribeDevice(WorkerProfile& profile) const {
  const MachineLimits limits = ReadMachineLimits();
  profile.threads = options_.threads > 0 ? options_.threads : ThreadCount(limits);
  profile.cpu_quota = limits.cpu_quota;
  profile.memory_limit_bytes = MemoryLimit();
  if (device_.is_cpu()) {
    profile.device_name = CpuName();
    return;
  }
  profile.device = "cuda";
  profile.device_name = Format("CUDA device %d", device_.index);
  if (gpus_) {
    const auto gpu = gpus_->Describe(device_.index);
    if (gpu.ok()) profile.device_name = gpu->name;
  }
  profile.device_id = address_ + "/" + device_.torch_name();
#ifdef LONGSTRIDE_CUDA
  profile.device_version = NcclVersion();
#endif
}

std::function<int64_t()> Worker::PeakMemoryProbe() const {
  if (!device_.is_cpu()) {
    ResetPeakDeviceMemory(device_);
    return [device = device_] { return PeakDeviceMemoryBytes(device); };
  }
  MapLargeBlocks(MemoryLimit());
  // Opening the data may have taken more memory than small steps do, which would hide their growth.
  ReturnFreedMemory();
  // Freed memory mostly stays with the process, so where the peak cannot be reset the present
  // amount is nearly as good.
  return [this, can_reset = ResetPeakResidentBytes(), peak = int64_t{0}]() mutable {
    const int64_t held = can_reset ? PeakResidentBytes() : ResidentBytes();
    peak = std::max(peak, held - ResidentFileBytes() + engine_->round_bytes());
    return peak;
  };
}

int64_t Worker::MemoryLimit() const {
  const int64_t memory = device_.is_cpu() ? ReadMemoryLimit() : DeviceMemoryBytes(device_);
  return TighterLimit(TighterLimit(memory, options_.memory_bytes), job_.spec.limits.memory_bytes);
}

void Worker::FindGpus() {
  auto loaded = Nvml::Load();
  if (!loaded.ok()) {
    LogWarning("worker", "the GPUs cannot be asked: " + loaded.error().message);
    return;
  }
  gpus_ = std::move(*loaded);
  if (!gpus_) return;
  const auto count = gpus_->DeviceCount();
  for (int i = 0; count.ok() && i < *count; ++i) {
    const auto gpu = gpus_->Describe(i);
    LogInfo("worker",
            gpu.ok() ? Format("GPU %d: %s, %s%s", i, gpu->name.c_str(),
                              FormatBytes(static_cast<double>(gpu->memory_total_bytes)).c_str(),
                              gpu->mig.value_or(false) ? ", MIG" : "")
                     : gpu.error().message);
  }
}

void Worker::LookAtMachine() {
  const TimePoint now = clock_.Now();
  if (now - memory_seen_ < kMemoryPeriod) return;
  memory_seen_ = now;
  const int64_t limit = MemoryLimit();
  if (const std::optional<int64_t> cap = memory_->Observe(limit)) {
    engine_->LimitMicroBatch(*cap);
    if (device_.is_cpu()) MapLargeBlocks(limit);
    ReturnFreedMemory();
    LogWarning("worker", Format("the memory limit is now %s: micro-batches of at most %lld samples",
                                FormatBytes(static_cast<double>(limit)).c_str(),
                                static_cast<long long>(*cap)));
  }
  if (!gpus_ || now - gpus_seen_ < kGpuPeriod) return;
  gpus_seen_ = now;
  const auto count = gpus_->DeviceCount();
  for (int i = 0; count.ok() && i < *count; ++i) {
    const auto gpu = gpus_->Describe(i);
    if (gpu.ok()) metrics_->ObserveGpu(i, *gpu);
  }
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
  metrics.purposes.assign(kPurposeNames.begin(), kPurposeNames.end());
  LONGSTRIDE_ASSIGN_OR_RETURN(metrics_, WorkerMetrics::Start(metrics));
  LogInfo("worker",
          Format("step time %s + %s a sample, micro-batches of at most %lld, %lld threads; metrics "
                 "on port %d",
                 FormatSeconds(profile.alpha).c_str(), FormatSeconds(profile.beta).c_str(),
                 static_cast<long long>(profile.micro_batch_cap),
                 static_cast<long long>(profile.threads), metrics_->port()));

  // It calls back only once a generation is watched, when the channel is there.
  LONGSTRIDE_ASSIGN_OR_RETURN(tether_,
                              Tether::Start(address_, [this] { channel_->HeartbeatNow(); }));
  JoinRequest join;
  join.worker = id_;
  join.address = address_;
  join.metrics_port = metrics_->port();
  join.tether_port = tether_->port();
  join.profile = std::move(profile);
  join.round = engine_->round();
  join.parameters = engine_->parameter_count();
  join.train_samples = train_->size();
  LONGSTRIDE_RETURN_IF_ERROR(client_->Join(join));
  channel_ = std::make_unique<QueuedControlChannel>(
      client_, std::move(join),
      [abort = abort_](const HeartbeatReply& reply) {
        LogWarning("worker", "the coordinator ends this generation: " + reply.reason);
        abort->Abort();
      },
      [tether = tether_.get()](GenerationId generation) { return tether->Silent(generation); });
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
  tether_->Watch(generation);
  watch_.Enter(generation.id, generation.plans.empty() ? 0 : generation.plans.back().sync_seconds,
               clock_.Now());
  LONGSTRIDE_ASSIGN_OR_RETURN(const std::unique_ptr<Collective> collective, Connect(generation));
  LogInfo("worker", Format("generation (%lld, %lld): rank %d of %d over %s",
                           static_cast<long long>(generation_.term),
                           static_cast<long long>(generation_.counter), collective->rank(),
                           collective->size(), generation.backend.c_str()));
  abort_->Set(collective.get());
  ObservedChannel channel(*channel_, *metrics_, watch_, [this] { LookAtMachine(); });
  Result<Outcome> outcome = engine_->Run(generation, *collective, channel);
  abort_->Set(nullptr);
  return outcome;
}

Result<std::unique_ptr<Collective>> Worker::Connect(const Generation& generation) {
  const int rank = static_cast<int>(generation.rank);
  const int size = static_cast<int>(generation.members.size());
  const auto store = std::make_shared<CoordinatorStore>(client_, generation.id, size);
#ifdef LONGSTRIDE_CUDA
  if (generation.backend == "nccl") {
    return MakeNcclCollective({.rank = rank, .size = size, .device = device_.index}, store);
  }
#endif
  return MakeGlooCollective({.rank = rank, .size = size, .address = address_}, store);
}

void Worker::KeepWatch(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  while (!stop.stop_requested()) {
    wake.wait_for(lock, stop, kWatchPeriod, [] { return false; });
    if (stop.stop_requested()) return;
    if (const std::optional<Error> why = watch_.Look(StopSignalled(), clock_.Now())) EndNow(*why);
  }
}

void Worker::EndNow(const Error& why) {
  Log(why.code == ErrorCode::kInterrupted ? LogLevel::kWarning : LogLevel::kError, "worker",
      why.message);
  channel_->Leaving();
  (void)channel_->Flush(kHurriedFlushTimeout);
  const TrainingWatch::Position position = watch_.position();
  (void)client_->Leave({id_, position.generation, position.round, ExitCodeOf(why.code), why.message,
                        /*mid_round=*/true});
  // Not even flushing what was printed: the thread that hangs may hold a file's lock.
  std::_Exit(ExitCodeOf(why.code));
}

void Worker::LeaveJob(const Status& status) {
  channel_->Leaving();
  const Duration patience = status.ok() ? kLastFlushTimeout : kStoppedFlushTimeout;
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
  leave.checkpoint = engine_->TakeCheckpoint();
  if (const Status left = client_->Leave(leave); !left.ok()) {
    LogWarning("worker",
               "the coordinator did not hear that this worker leaves: " + left.error().message);
  }
  tether_->Stop();
  channel_.reset();
}

}  // namespace longstride
