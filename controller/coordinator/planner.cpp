#include "controller/coordinator/planner.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/base/median.h"
#include "core/protocol/superseded_plans.h"
#include "core/schedule/allocation.h"
#include "core/schedule/local_steps.h"
#include "core/schedule/step_time_fit.h"

namespace longstride {
namespace {

constexpr double kMinGain = 0.05;         // of predicted round time
constexpr double kMinStepsChange = 0.10;  // of H, policy auto
constexpr int64_t kRoundsBetweenPlans = 3;
constexpr int64_t kRoundsAhead = 2;
constexpr size_t kRecentPoints = 32;  // the fit is cubic in them
constexpr size_t kRecentRounds = 15;

std::vector<WorkerCost> Costs(const Plan& plan) {
  std::vector<WorkerCost> costs;
  for (const PlanShare& s : plan.shares) {
    costs.push_back({s.alpha, s.beta, s.micro_batch_cap, s.min_batch, s.max_batch});
  }
  return costs;
}

// Whether two members have the same hardware, and as much of it, by what they say.
bool Alike(const JoinRequest& a, const JoinRequest& b) {
  const auto cpus = [](const WorkerProfile& p) {
    const auto threads = static_cast<double>(p.threads);
    return p.cpu_quota > 0 ? std::min(p.cpu_quota, threads) : threads;
  };
  return a.worker.group == b.worker.group && a.profile.device == b.profile.device &&
         a.profile.device_name == b.profile.device_name && a.profile.threads == b.profile.threads &&
         std::abs(cpus(a.profile) - cpus(b.profile)) < 0.01 * cpus(a.profile);
}

// Members that are alike begin as equals: a profile taken on a shared machine says more about who
// happened to run at the same moment than about the worker, and a wrong split feeds itself where
// workers share cores. Rounds show soon enough who is really slower. `known`: whose costs were
// learned in training, which beats any profile.
void PoolAlike(std::vector<JoinRequest>& members, const std::vector<bool>& known) {
  const std::vector<JoinRequest> measured = members;
  for (size_t m = 0; m < members.size(); ++m) {
    if (known[m]) continue;
    std::vector<double> alphas, betas;
    for (const bool learned : {true, false}) {
      for (size_t o = 0; o < measured.size(); ++o) {
        if (known[o] != learned || !Alike(members[m], measured[o])) continue;
        alphas.push_back(measured[o].profile.alpha);
        betas.push_back(measured[o].profile.beta);
      }
      if (!alphas.empty()) break;
    }
    members[m].profile.alpha = Median(std::move(alphas));
    members[m].profile.beta = Median(std::move(betas));
  }
}

// Whether the points tell alpha from beta.
bool Varied(const std::vector<StepTimePoint>& points) {
  const auto [low, high] = std::minmax_element(
      points.begin(), points.end(), [](const auto& a, const auto& b) { return a.batch < b.batch; });
  return points.size() >= 4 && 2 * high->batch >= 3 * low->batch;
}

// `batches` as dealt by `dealt`, timed with the costs of `truth`.
double StepUnder(const Plan& truth, const std::vector<int64_t>& batches) {
  return Makespan(Costs(truth), batches);
}

int64_t Steps(const TrainingJobSpec& spec, double learning_rate, int64_t cursor, double step,
              double sync, int64_t skew_limit = 0) {
  return LocalSteps(spec.training.local_steps, {.samples = cursor,
                                                .learning_rate = learning_rate,
                                                .step_seconds = step,
                                                .sync_seconds = sync,
                                                .skew_limit = skew_limit});
}

}  // namespace

Result<PlanPrediction> Predict(const TrainingJobSpec& spec, const Plan& plan, int64_t global_batch,
                               int64_t cursor) {
  PlanPrediction p;
  p.global_batch = global_batch;
  LONGSTRIDE_ASSIGN_OR_RETURN(p.batches, AllocateBatch(Costs(plan), global_batch));
  p.step_seconds = StepUnder(plan, p.batches);
  p.sync_seconds = plan.sync_seconds;
  p.local_steps =
      Steps(spec, spec.training.learning_rate.value, cursor, p.step_seconds, p.sync_seconds);
  p.round_seconds = static_cast<double>(p.local_steps) * p.step_seconds + p.sync_seconds;
  return p;
}

std::vector<Plan> PlanHistory(const std::vector<Plan>& issued,
                              const std::vector<RoundRecord>& records) {
  std::vector<Plan> history;
  for (const RoundRecord& record : records) {
    const RoundReport& round = record.common();
    if (!history.empty() && history.back().version == round.plan_version) continue;
    const auto it = std::find_if(issued.begin(), issued.end(),
                                 [&](const Plan& p) { return p.version == round.plan_version; });
    if (it == issued.end()) continue;
    history.push_back(*it);
    history.back().first_round = round.round;
  }
  return history;
}

Planner::Planner(TrainingJobSpec spec, std::vector<Plan> recorded, int64_t recorded_rounds)
    : spec_(std::move(spec)), recorded_rounds_(recorded_rounds), plans_(std::move(recorded)) {}

Status Planner::Begin(std::vector<JoinRequest> members, int64_t first_round) {
  const bool first = workers_.empty();
  PoolAlike(members, Learned(members));
  std::vector<WorkerHistory> workers;
  for (const JoinRequest& member : members) {
    const auto before = std::ranges::find(workers_, member.worker, &WorkerHistory::id);
    workers.push_back(before != workers_.end()
                          ? *before
                          : WorkerHistory{.id = member.worker,
                                          .profile = member.profile,
                                          .micro_batch_cap = member.profile.micro_batch_cap});
  }
  workers_ = std::move(workers);
  const auto other_size = [&](const Plan& p) { return p.shares.size() != members.size(); };
  const int64_t version = plans_.empty() ? 1 : plans_.back().version + 1;
  const double sync_seconds = plans_.empty() || first ? 0 : plans_.back().sync_seconds;
  std::erase_if(plans_, other_size);
  if (first && !plans_.empty()) return {};

  Plan plan;
  plan.version = version;
  plan.first_round = first_round;
  plan.sync_seconds = sync_seconds;
  for (const JoinRequest& member : members) {
    const auto group =
        std::find_if(spec_.workers.begin(), spec_.workers.end(),
                     [&](const WorkerGroup& g) { return g.name == member.worker.group; });
    const BatchBounds bounds = group == spec_.workers.end() ? BatchBounds{} : group->batch;
    const WorkerProfile& p = member.profile;
    plan.shares.push_back({p.alpha, p.beta, p.micro_batch_cap, bounds.min, bounds.max});
  }
  // All replicas begin with the batch that the job names, fewer or later members with what they can
  // take.
  const bool whole = first && std::ssize(members) >= spec_.replicas;
  int64_t batch = spec_.training.batch.initial, least = 0, most = 0;
  for (const PlanShare& share : plan.shares) least += share.min_batch, most += share.max_batch;
  if (!whole) batch = std::clamp(batch, std::min(least, most), most);
  LONGSTRIDE_RETURN_IF_ERROR(Predict(spec_, plan, batch, 0));
  plans_ = {std::move(plan)};  // the others were for other members
  last_issue_round_ = first_round - 1;
  return {};
}

void Planner::Adopt(const std::vector<JoinRequest>& members, const std::vector<Plan>& plans) {
  std::map<int64_t, Plan> by_version;
  const auto take = [&](const std::vector<Plan>& source) {
    for (const Plan& plan : source) {
      if (plan.shares.size() == members.size()) by_version.try_emplace(plan.version, plan);
    }
  };
  take(plans_);
  take(plans);
  plans_.clear();
  for (auto& [version, plan] : by_version) plans_.push_back(std::move(plan));
  workers_.clear();
  for (size_t r = 0; r < members.size(); ++r) {
    const WorkerProfile& profile = members[r].profile;
    workers_.push_back({.id = members[r].worker,
                        .profile = profile,
                        .micro_batch_cap = plans_.empty()
                                               ? profile.micro_batch_cap
                                               : plans_.back().shares[r].micro_batch_cap});
  }
  if (!plans_.empty()) last_issue_round_ = plans_.back().first_round;
}

std::vector<bool> Planner::Learned(std::vector<JoinRequest>& members) const {
  std::vector<bool> known(members.size(), false);
  if (plans_.empty() || plans_.back().shares.size() != workers_.size()) return known;
  for (size_t m = 0; m < members.size(); ++m) {
    JoinRequest& member = members[m];
    const auto before = std::ranges::find(workers_, member.worker, &WorkerHistory::id);
    if (before == workers_.end()) continue;
    const PlanShare& share = plans_.back().shares[static_cast<size_t>(before - workers_.begin())];
    member.profile.alpha = share.alpha;
    member.profile.beta = share.beta;
    member.profile.micro_batch_cap = std::min(share.micro_batch_cap, before->micro_batch_cap);
    known[m] = true;
  }
  return known;
}

std::optional<Plan> Planner::Observe(const RoundRecord& record) {
  const RoundReport& common = record.common();
  DropSuperseded(plans_, common.plan_version);
  if (plans_.empty() || record.reports.size() != workers_.size()) return std::nullopt;

  // Waiting for stragglers counts as communication, so the member that waited least shows the link.
  double sync = record.reports.front().seconds.communication;
  for (size_t r = 0; r < workers_.size(); ++r) {
    const RoundReport& report = record.reports[r];
    sync = std::min(sync, report.seconds.communication);
    auto& recent = workers_[r].recent;
    const int64_t cap = report.micro_batch_cap.value_or(INT64_MAX);
    if (cap < workers_[r].micro_batch_cap) {
      workers_[r].micro_batch_cap = cap;
      recent.clear();  // step times of other micro-batches, and of one that was tried twice
      continue;
    }
    auto step_times = report.step_times;
    if (workers_[r].reprofiled && common.local_steps > 0) {
      step_times = {{report.local_batch, (report.seconds.data + report.seconds.compute) /
                                             static_cast<double>(common.local_steps)}};
    }
    for (const auto& [batch, seconds] : step_times) {
      if (batch >= 1 && seconds > 0) recent.emplace_back(batch, seconds);
    }
    while (recent.size() > kRecentPoints) recent.pop_front();
  }
  sync_seconds_.push_back(sync);
  if (sync_seconds_.size() > kRecentRounds) sync_seconds_.pop_front();

  if (common.round < recorded_rounds_ || common.round - last_issue_round_ < kRoundsBetweenPlans) {
    return std::nullopt;
  }
  Plan candidate = plans_.back();
  if (candidate.shares.size() != workers_.size()) return std::nullopt;
  candidate.version += 1;
  candidate.first_round = common.round + kRoundsAhead;
  candidate.sync_seconds = Median({sync_seconds_.begin(), sync_seconds_.end()});
  bool lowered = false;
  for (size_t r = 0; r < workers_.size(); ++r) {
    PlanShare& share = candidate.shares[r];
    lowered = lowered || workers_[r].micro_batch_cap < share.micro_batch_cap;
    share.micro_batch_cap = std::min(share.micro_batch_cap, workers_[r].micro_batch_cap);
    share = Refit(workers_[r], share);
  }
  if (!lowered && !Pays(candidate, record)) return std::nullopt;
  last_issue_round_ = common.round;
  plans_.push_back(candidate);
  return candidate;
}

void Planner::Reprofile(const WorkerId& worker) {
  const auto it = std::ranges::find(workers_, worker, &WorkerHistory::id);
  if (it == workers_.end()) return;
  it->reprofiled = true;
  it->recent.clear();
}

PlanShare Planner::Refit(const WorkerHistory& worker, const PlanShare& present) const {
  std::vector<StepTimePoint> points;
  for (const auto& [batch, seconds] : worker.recent) points.push_back({batch, seconds});
  if (points.empty()) return present;
  if (!Varied(points)) {
    // One batch size shows how much slower than profiled the worker is, not why: keep the profile's
    // shape and scale it.
    const PlanShare shape{worker.profile.alpha, worker.profile.beta, present.micro_batch_cap, 0, 1};
    const WorkerCost cost{shape.alpha, shape.beta, shape.micro_batch_cap};
    std::vector<double> ratios;
    for (const StepTimePoint& p : points) {
      const double predicted = StepSeconds(cost, p.batch);
      if (predicted > 0) ratios.push_back(p.seconds / predicted);
    }
    if (!ratios.empty()) {
      const double ratio = Median(std::move(ratios));
      PlanShare scaled = present;
      scaled.alpha = ratio * shape.alpha;
      scaled.beta = ratio * shape.beta;
      return scaled;
    }
  }
  const Result<StepTimeFit> fit = FitStepTime(points, present.micro_batch_cap);
  if (!fit.ok() || !std::isfinite(fit->alpha) || !std::isfinite(fit->beta)) return present;
  PlanShare refitted = present;
  refitted.alpha = fit->alpha;
  refitted.beta = fit->beta;
  return refitted;
}

bool Planner::Pays(const Plan& candidate, const RoundRecord& record) const {
  const Plan& present = plans_.back();
  const RoundReport& common = record.common();
  const int64_t batch =
      common.next_global_batch > 0 ? common.next_global_batch : common.global_batch;
  const auto dealt_now = AllocateBatch(Costs(present), batch);
  const auto dealt_then = AllocateBatch(Costs(candidate), batch);
  if (!dealt_now.ok() || !dealt_then.ok()) return false;
  const double step_now = StepUnder(candidate, *dealt_now);
  const double step_then = StepUnder(candidate, *dealt_then);
  const double rate = std::isfinite(common.learning_rate) ? common.learning_rate : 0;
  const int64_t steps_now = Steps(spec_, rate, common.cursor_end, StepUnder(present, *dealt_now),
                                  present.sync_seconds, common.skew_limit);
  const int64_t steps_then =
      Steps(spec_, rate, common.cursor_end, step_then, candidate.sync_seconds, common.skew_limit);

  const auto steps = static_cast<double>(steps_then);
  const double now = steps * step_now + candidate.sync_seconds;
  const double then = steps * step_then + candidate.sync_seconds;
  if (then < (1 - kMinGain) * now) return true;
  return spec_.training.local_steps.policy == LocalStepsPolicy::kAuto &&
         std::abs(steps - static_cast<double>(steps_now)) >
             kMinStepsChange * static_cast<double>(steps_now);
}

}  // namespace longstride
