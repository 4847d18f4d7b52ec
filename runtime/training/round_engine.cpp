#include "runtime/training/round_engine.h"

#include <algorithm>

#include "core/base/format.h"
#include "core/base/log.h"
#include "core/base/random.h"
#include "runtime/model/model.h"
#include "runtime/profile/limits.h"
#include "runtime/training/alignment.h"
#include "runtime/training/shard_agreement.h"

namespace longstride {
namespace {

// Streams of the job's seed, unrelated to each other and to the order of samples (SampleOrderSeed).
enum SeedStream : uint64_t { kDropoutSeed = 2, kSketchSeed = 3 };

constexpr int64_t kWastedRoundsAllowed = 10;
constexpr int64_t kStrikesAllowed = 3;
constexpr int kLoadAttempts = 3;

uint64_t StreamSeed(const TrainingJobSpec& job, SeedStream stream) {
  return Hash64(static_cast<uint64_t>(job.seed), static_cast<uint64_t>(stream));
}

bool DrawsRandomNumbers(const ModelSpec& model) {
  return (model.kind == ModelKind::kGpt && model.gpt.dropout > 0) ||
         model.kind == ModelKind::kTorchscript;
}

std::vector<int64_t> Difference(const int64_t (&now)[kPurposeCount],
                                const int64_t (&before)[kPurposeCount]) {
  std::vector<int64_t> difference;
  for (int i = 0; i < kPurposeCount; ++i) difference.push_back(now[i] - before[i]);
  return difference;
}

void AddTo(std::vector<int64_t>& sum, const std::vector<int64_t>& values) {
  sum.resize(std::max(sum.size(), values.size()));
  for (size_t i = 0; i < values.size(); ++i) sum[i] += values[i];
}

void AddTraffic(const Collective& collective, const Traffic& before, RoundReport& report) {
  AddTo(report.bytes_sent, Difference(collective.traffic().sent, before.sent));
  AddTo(report.bytes_received, Difference(collective.traffic().received, before.received));
}

// What the members do at this boundary, as they all see it.
BoundaryRequest Agreed(const std::vector<RankSlot>& slots) {
  const auto least = [&](BoundaryRequest r) {
    return [r](const RankSlot& s) { return s.request >= r; };
  };
  if (std::ranges::any_of(slots, least(BoundaryRequest::kStop)) ||
      std::ranges::all_of(slots, least(BoundaryRequest::kLeave))) {
    return BoundaryRequest::kStop;
  }
  return std::ranges::any_of(slots, least(BoundaryRequest::kReform)) ? BoundaryRequest::kReform
                                                                     : BoundaryRequest::kNone;
}

bool MayBeRepeated(const Error& error) {
  return error.code == ErrorCode::kLostPeer || error.code == ErrorCode::kTransient;
}

int64_t NewestVersion(const std::vector<Plan>& plans) {
  int64_t newest = 0;
  for (const Plan& plan : plans) newest = std::max(newest, plan.version);
  return newest;
}

}  // namespace

template <typename T>
RoundEngine<T>::RoundEngine(EngineOptions options, std::shared_ptr<const Dataset> train,
                            std::shared_ptr<const Dataset> evaluation, std::unique_ptr<Model> model)
    : options_(std::move(options)),
      train_(std::move(train)),
      evaluation_(std::move(evaluation)),
      replica_(std::move(model), options_.job.spec.training, options_.device),
      gradients_(replica_.model(), replica_.flat(), train_->shape()) {
  replica_.model().SetTraining(true);
  state_.growth.batch = 0;
  if (!options_.checkpoint_directory.empty()) {
    saver_ = std::make_unique<CheckpointSaver<T>>(options_.checkpoint_directory,
                                                  options_.job.spec.checkpoint.keep);
  }
}

template <typename T>
Status RoundEngine<T>::Resume(const std::string& directory) {
  resume_directory_ = directory;
  LONGSTRIDE_ASSIGN_OR_RETURN(resume_from_, FindCheckpoint(directory));
  return {};
}

template <typename T>
Status RoundEngine<T>::LoadState(int rank) {
  Status loaded = LoadCheckpoint(*resume_from_, rank, replica_, state_);
  // Newer ones may have taken its place since it was found.
  for (int attempt = 0; !loaded.ok() && attempt < kLoadAttempts; ++attempt) {
    LONGSTRIDE_ASSIGN_OR_RETURN(resume_from_, FindCheckpoint(resume_directory_));
    loaded = LoadCheckpoint(*resume_from_, rank, replica_, state_);
  }
  LONGSTRIDE_RETURN_IF_ERROR(loaded);
  resume_from_.reset();
  state_.generation = {};  // of another coordinator; members of this one's are ahead
  return {};
}

template <typename T>
int64_t RoundEngine<T>::EpochSamples() const {
  if (shards_.empty()) return train_->size();
  int64_t sum = 0;
  for (const auto& [shard, samples] : state_.shard_samples) sum += samples;
  return sum;
}

template <typename T>
bool RoundEngine<T>::Finished() const {
  if (state_.target_reached) return true;
  if (SamplesDone(state_.ledger) < SampleLimit(options_.job.spec.training, EpochSamples()))
    return false;
  if (shards_.empty()) return state_.ledger.holes().empty();
  // Holes of a shard whose worker is not there can be read by nobody.
  return std::ranges::all_of(
      shards_, [this](int64_t shard) { return state_.ledger.HolesOf(shard).empty(); });
}

template <typename T>
Result<Outcome> RoundEngine<T>::Run(const Generation& generation, Collective& collective,
                                    ControlChannel& control) {
  try {
    return RunGeneration(generation, collective, control);
  } catch (const std::exception& e) {
    if (IsOutOfMemory(e)) return ResourceError("out of memory between local steps");
    return BugError(Format("the round engine failed: %s", e.what()));
  }
}

template <typename T>
Result<std::vector<int>> RoundEngine<T>::Align(Collective& collective, bool in_background) {
  const int64_t held = round();
  const bool shared = options_.job.spec.data.placement == DataPlacement::kShared;
  LONGSTRIDE_ASSIGN_OR_RETURN(
      std::vector<int> givers,
      AlignStates(collective, replica_, state_,
                  {.whole = whole_,
                   .finished = Finished(),
                   .train_samples = shared ? train_->size() : 0,
                   .evaluation_samples = evaluation_ ? evaluation_->size() : 0,
                   .at_once_bytes = in_background ? options_.state_at_once_bytes : INT64_MAX}));
  whole_ = givers[static_cast<size_t>(collective.rank())] < 0;
  held_round_ = held;
  return givers;
}

template <typename T>
Result<Outcome> RoundEngine<T>::RunGeneration(const Generation& generation, Collective& collective,
                                              ControlChannel& control) {
  const TrainingJobSpec& job = options_.job.spec;
  const int ranks = collective.size();
  if (collective.rank() != generation.rank ||
      ranks != static_cast<int>(generation.members.size())) {
    return BugError(Format("rank %d of %d in the collective, but rank %ld of %zu in the generation",
                           collective.rank(), ranks, generation.rank, generation.members.size()));
  }
  if (resume_from_) LONGSTRIDE_RETURN_IF_ERROR(LoadState(collective.rank()));
  if (saver_) {
    LONGSTRIDE_RETURN_IF_ERROR(AwaitDisks(collective));
    saver_->AbandonPending();
  }
  LONGSTRIDE_ASSIGN_OR_RETURN(std::vector<int> givers, Align(collective, true));
  const bool local = job.data.placement == DataPlacement::kLocal;
  if (local) {
    LONGSTRIDE_ASSIGN_OR_RETURN(
        shards_, AgreeOnShards(job, generation.members, train_->size(), collective, state_));
  }
  // All members have let go of their files, and none writes before the first round's exchange.
  if (saver_ && collective.rank() == 0)
    LONGSTRIDE_RETURN_IF_ERROR(RecoverCheckpoints(generation.id));

  const MeasurementPlan measure = PlanMeasurements(job, ranks);
  const bool observe = measure.between || measure.within;
  const StepZeroOptions step_zero{.observe = observe,
                                  .sketch_size = SketchSize(job, ranks),
                                  .inner_products = measure.inner_products,
                                  .seed = StreamSeed(job, kSketchSeed)};
  const int64_t shard = local ? shards_[static_cast<size_t>(collective.rank())] : 0;
  Context context{.generation = generation,
                  .collective = collective,
                  .control = control,
                  .local = LocalRound<T>(replica_, gradients_, *train_, step_zero,
                                         SampleOrderSeed(job, shard), shard),
                  .synchronizer = Synchronizer<T>(replica_, job, ranks, local ? train_->size() : 0),
                  .transfer = {collective, replica_, std::move(givers)},
                  .options = {.rank = collective.rank(),
                              .parts = measure.within ? 2 : 1,
                              .observe = observe,
                              .reseed = DrawsRandomNumbers(job.model),
                              .seed = StreamSeed(job, kDropoutSeed),
                              .gradient_clipping = job.training.gradient_clipping,
                              .begins = [&control](const OwnWork& w) { control.Begins(w); }},
                  .plans = generation.plans,
                  .agreed = NewestVersion(generation.plans)};
  model_digest_ = replica_.ModelDigest();
  const int64_t begun_at = state_.round;
  LONGSTRIDE_ASSIGN_OR_RETURN(BoundaryRequest next, CompletePending(context));
  if (Finished() && state_.round == begun_at && state_.generation.counter > 0) {
    // A member was lost in the middle of what the last boundary still had to do: the last round was
    // committed here, not resumed.
    RoundReport unsent;
    LONGSTRIDE_RETURN_IF_ERROR(Evaluate(context, {}, unsent));
    if (saver_) LONGSTRIDE_RETURN_IF_ERROR(Checkpoint(context, {}, {}, false, unsent));
  }
  while (!Finished() && next == BoundaryRequest::kNone && strikes_ < kStrikesAllowed) {
    LONGSTRIDE_ASSIGN_OR_RETURN(next, RunRound(context));
  }
  if (Finished()) return Outcome::kCompleted;
  const Outcome outcome = strikes_ >= kStrikesAllowed      ? Outcome::kUnfit
                          : next == BoundaryRequest::kStop ? Outcome::kStopped
                          : leaving_                       ? Outcome::kLeft
                                                           : Outcome::kReformed;
  // Before another rank may clear what an unfinished checkpoint leaves. Who goes on does so in the
  // next generation, which may be formed meanwhile.
  if (saver_ && outcome != Outcome::kReformed) saver_->AbandonPending();
  return outcome;
}

template <typename T>
Result<BoundaryRequest> RoundEngine<T>::CompletePending(Context& context) {
  if (pending_ && (pending_->anchor() != model_digest_ ||
                   pending_->work().settings.number != state_.round + 1)) {
    pending_.reset();  // another member had committed that round, or another one in its place
  }
  Stopwatch watch;
  LONGSTRIDE_ASSIGN_OR_RETURN(
      std::optional<RoundWork> work,
      AgreeOnPending(context.collective, pending_ ? &pending_->work() : nullptr,
                     pending_ ? pending_->slot().generation : GenerationId()));
  if (!work) return BoundaryRequest::kNone;
  if (work->part < 0) pending_.reset();
  LogInfo("training",
          Format("completing round %ld, whose exchange had failed; %ld of its %zu parts "
                 "are there",
                 work->settings.number,
                 std::ranges::count_if(work->owners, [](int o) { return o >= 0; }),
                 work->owners.size()));
  if (state_.growth.batch == 0) state_.growth.batch = work->settings.global_batch;
  replica_.BeginRound();
  RankSlot slot;
  RoundReport report;
  if (pending_) {
    pending_->Load(replica_);
    slot = pending_->slot();
    report = pending_->report();
  }
  return Synchronize(context, std::move(*work), nullptr, std::move(slot), std::move(report), watch);
}

template <typename T>
Result<BoundaryRequest> RoundEngine<T>::RunRound(Context& context) {
  const TrainingJobSpec& job = options_.job.spec;
  const int rank = context.options.rank, ranks = context.collective.size();
  Stopwatch watch;
  RoundReport report;
  const Plan* plan = GoverningPlan(context.plans, state_.round + 1, context.agreed);
  if (!plan || plan->shares.size() != context.generation.members.size()) {
    return BugError(Format("no plan for round %ld with %zu workers", state_.round + 1,
                           context.generation.members.size()));
  }
  if (state_.growth.batch == 0) {
    state_.growth = InitialGrowth(job.training.batch, LimitsOf(*plan, job.limits));
  }
  LONGSTRIDE_ASSIGN_OR_RETURN(RoundSettings settings, PlanRound(job, EpochSamples(), state_, *plan,
                                                                context.transfer.lacking()));
  gradients_.set_cap(settings.plan.shares[rank].micro_batch_cap);
  std::vector<PositionRange> positions = PositionsOf(settings, state_.ledger, shards_);
  RoundWork work = OwnParts(std::move(settings), std::move(positions), ranks, rank);

  RankSlot slot;
  const Traffic traffic = context.collective.traffic();
  if (!whole_) {
    work.part = -1;
    LONGSTRIDE_RETURN_IF_ERROR(context.transfer.Receive());
    AddTraffic(context.collective, traffic, report);
    watch.Lap(report.seconds.communication);
    replica_.BeginRound();
    return Synchronize(context, std::move(work), nullptr, std::move(slot), std::move(report),
                       watch);
  }
  replica_.BeginRound();
  watch.Lap(report.seconds.outer);
  context.transfer.Begin();
  const Status local = RunLocally(context, work, watch, slot, report);
  const Status given = context.transfer.End();
  if (!local.ok()) {
    replica_.Restore();
    return local.error();
  }
  // If it failed the collective is dead, and the exchange will say so and keep what was done.
  if (given.ok()) AddTraffic(context.collective, traffic, report);
  watch.Lap(report.seconds.communication);
  return Synchronize(context, std::move(work), &context.local.step_zero(), std::move(slot),
                     std::move(report), watch);
}

template <typename T>
Status RoundEngine<T>::RunLocally(Context& context, const RoundWork& work, Stopwatch& watch,
                                  RankSlot& slot, RoundReport& report) {
  const RoundSettings& settings = work.settings;
  const SystemClock clock;
  report.first_step_time = clock.UnixSeconds();
  const Result<LocalRoundResult> done =
      context.local.Run(settings, work.positions, context.options, watch, report.seconds);
  context.options.begins({});
  LONGSTRIDE_ASSIGN_OR_RETURN(const LocalRoundResult local, done);
  report.last_step_time = clock.UnixSeconds();
  slot.samples = local.samples;
  slot.loss_sum = local.loss_sum;
  slot.batch = static_cast<double>(settings.local_batches[work.part]);
  slot.inner_steps = replica_.inner().steps();
  slot.generation = context.generation.id;
  report.local_samples = local.samples;
  report.local_batch = settings.local_batches[work.part];
  report.micro_batch_cap =
      std::min(settings.plan.shares[work.part].micro_batch_cap, gradients_.memory_cap());
  report.step_times = {{report.local_batch, local.step_seconds}};
  return {};
}

template <typename T>
Result<BoundaryRequest> RoundEngine<T>::Synchronize(Context& context, RoundWork work,
                                                    StepZero<T>* step_zero, RankSlot slot,
                                                    RoundReport report, Stopwatch& watch) {
  const Traffic traffic = context.collective.traffic();
  const auto account = [&] {
    report.wall_seconds += watch.Total();
    AddTraffic(context.collective, traffic, report);
  };
  for (const Plan& plan : context.control.Plans()) {
    const auto same = [&](const Plan& known) { return known.version == plan.version; };
    if (std::ranges::none_of(context.plans, same)) context.plans.push_back(plan);
  }
  RankSlot mine = slot;
  mine.generation = context.generation.id;
  mine.round = work.settings.number;
  mine.newest_plan = NewestVersion(context.plans);
  mine.digest = whole_ ? Hash64(model_digest_, ScheduleDigest(state_)) : 0;
  mine.received_all = context.transfer.received_all();
  mine.request = context.control.Requested();
  mine.saved = saver_ && saver_->Saved();
  leaving_ = mine.request == BoundaryRequest::kLeave;
  Result<Exchange> exchange = context.synchronizer.Run(
      work.settings, context.generation.members, mine, step_zero, context.transfer.first_holder(),
      context.collective, watch, report.seconds);
  if (!exchange.ok()) {
    watch.Lap(report.seconds.communication);
    account();
    if (MayBeRepeated(exchange.error()) && work.part >= 0 && !pending_)
      pending_.emplace(replica_, std::move(work), std::move(slot), std::move(report),
                       model_digest_);
    replica_.Restore();
    return exchange.error();
  }
  pending_.reset();
  context.transfer.Update(exchange->slots, exchange->samples > 0);
  whole_ = !context.transfer.Lacks(context.options.rank);
  LONGSTRIDE_RETURN_IF_ERROR(Advance(context, work, *exchange, report));
  watch.Lap(report.seconds.outer);

  // The round is committed; what fails from here on does not undo it, and it is reported all the
  // same.
  const BoundaryRequest agreed = Agreed(exchange->slots);
  const Status boundary = FinishBoundary(context, work.settings, *exchange,
                                         agreed == BoundaryRequest::kStop, watch, report);
  account();
  report.memory_bytes = ResidentBytes();
  report.checkpoint = TakeCheckpoint();
  context.control.Report(report);
  if (!boundary.ok()) return boundary.error();
  if (wasted_rounds_ >= kWastedRoundsAllowed) {
    return UserError(
        Format("training diverged: in the last %ld rounds no worker's update was finite; lower "
               "training.learningRate.value or set training.gradientClipping",
               wasted_rounds_));
  }
  return agreed;
}

template class RoundEngine<float>;
template class RoundEngine<double>;

}  // namespace longstride
