#include "controller/reconcile/job_monitor.h"

#include <algorithm>
#include <numeric>

namespace longstride {
namespace {

template <typename... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <typename... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;

int64_t SumOf(const auto& values) {
  return std::accumulate(values.begin(), values.end(), int64_t{0});
}

double TimeOf(const ActivitySeconds& seconds) {
  double sum = 0;
  for (const auto& [name, activity] : kActivities) sum += seconds.*activity;
  return sum;
}

// Of a round or a worker's account, which both have these members.
void Add(const auto& from, JobTotals& to) {
  for (size_t i = 0; i < std::min(to.sent_bytes.size(), from.bytes_sent.size()); ++i)
    to.sent_bytes[i] += from.bytes_sent[i];
  for (const auto& [name, activity] : kActivities) to.seconds.*activity += from.seconds.*activity;
}

// max(known, accounts) + counted, each for itself.
JobTotals TotalOf(JobTotals known, const JobTotals& accounts, const JobTotals& counted) {
  const auto total = [](auto k, auto a, auto c) { return std::max(k, a) + c; };
  for (size_t i = 0; i < known.sent_bytes.size(); ++i)
    known.sent_bytes[i] = total(known.sent_bytes[i], accounts.sent_bytes[i], counted.sent_bytes[i]);
  known.data_parallel_bytes =
      total(known.data_parallel_bytes, accounts.data_parallel_bytes, counted.data_parallel_bytes);
  for (const auto& [name, activity] : kActivities)
    known.seconds.*activity =
        total(known.seconds.*activity, accounts.seconds.*activity, counted.seconds.*activity);
  return known;
}

}  // namespace

bool JobMonitor::Note(const Event& event) {
  return std::visit(
      Overloaded{
          [&](const JoinedEvent& e) {
            Join(e.join);
            return true;
          },
          [&](const RegisteredEvent& e) {
            Register(e);
            return true;
          },
          [&](const GenerationFormedEvent& e) {
            Form(e);
            return true;
          },
          [&](const PlanIssuedEvent& e) {
            const bool first = !planned_;
            planned_ = true;
            if (e.prediction) planned_batches_ = e.prediction->batches;
            return first;
          },
          [&](const RoundCommittedEvent& e) {
            Commit(e.record);
            return false;
          },
          [&](const EvaluationEvent& e) {
            if (view_.progress && e.accuracy) view_.progress->accuracy = e.accuracy;
            if (e.loss) figures_.evaluation_loss = e.loss;
            return false;
          },
          [&](const CheckpointEvent& e) {
            const bool first = !view_.checkpoint;
            view_.checkpoint = {e.checkpoint.round, e.checkpoint.samples, e.checkpoint.time};
            return first;
          },
          [&](const WorkerLeftEvent& e) {
            End(e.worker, MemberView::State::kLeft, e.reason, ErrorCode::kInterrupted);
            return true;
          },
          [&](const WorkerLostEvent& e) {
            End(e.worker, MemberView::State::kLost, e.reason, e.code);
            return true;
          },
          [&](const WaitingEvent&) {
            Detach();
            return true;
          },
          [&](const EndedEvent& e) {
            view_.end = e.end;
            view_.ended_at = event.unix_seconds;
            return true;
          },
          [](const auto&) { return false; },
      },
      event.data);
}

void JobMonitor::Join(const JoinRequest& join) {
  workers_[{join.worker.group, join.worker.index}] = Known{.join = join};
  if (join.train_samples > 0) train_samples_ = epoch_.Add(join);
  if (join.parameters > 0) parameters_ = join.parameters;
}

// Its generation goes on under this coordinator, if none of the others came back with a newer one.
void JobMonitor::Register(const RegisteredEvent& registered) {
  Join(registered.join);
  const WorkerId& id = registered.join.worker;
  Known& known = workers_[{id.group, id.index}];
  known.generation = registered.generation;
  known.round = registered.round;
  Add(registered.totals, accounts_);
  WorkerFigures& own = figures_.workers[{id.group, id.index}];
  own.samples += registered.totals.samples;
  own.sent_bytes += SumOf(registered.totals.bytes_sent);
  discarded_ = std::max(discarded_, registered.totals.discarded);
  if (registered.generation.counter == 0) return;
  adopted_ = std::max(adopted_, registered.generation);
  view_.generation = figures_.generation = adopted_.counter;
  for (auto& [place, worker] : workers_) {
    if (worker.state > MemberView::State::kMember) continue;
    worker.state =
        worker.generation == adopted_ ? MemberView::State::kMember : MemberView::State::kJoined;
  }
  if (!view_.progress) view_.progress = known_;
  view_.progress->round = std::max(view_.progress->round, registered.round);
  Tally();
}

bool JobMonitor::IsAccounted(const WorkerId& worker, const RoundReport& own) const {
  const auto it = workers_.find({worker.group, worker.index});
  return it != workers_.end() && it->second.join.worker == worker &&
         std::pair(own.generation, own.round) <= std::pair(it->second.generation, it->second.round);
}

void JobMonitor::Tally() {
  figures_.totals = TotalOf(known_.totals, accounts_, counted_);
  if (!view_.progress) return;
  TrainingProgress& progress = *view_.progress;
  progress.totals = figures_.totals;
  // Other releases left no totals in the status.
  progress.bytes_sent =
      std::max(known_.bytes_sent + SumOf(counted_.sent_bytes), SumOf(figures_.totals.sent_bytes));
  if (const double all = TimeOf(figures_.totals.seconds); all > 0)
    progress.communication_percent = 100 * figures_.totals.seconds.communication / all;
}

void JobMonitor::Form(const GenerationFormedEvent& formed) {
  view_.generation = figures_.generation = formed.id.counter;
  Detach();
  batches_.clear();
  for (size_t rank = 0; rank < formed.members.size(); ++rank) {
    const WorkerId& id = formed.members[rank].worker;
    const auto it = workers_.find({id.group, id.index});
    if (it != workers_.end() && it->second.join.worker == id)
      it->second.state = MemberView::State::kMember;
    if (planned_batches_.size() == formed.members.size())
      batches_[id.group] += static_cast<double>(planned_batches_[rank]);
  }
}

void JobMonitor::Detach() {
  for (auto& [place, known] : workers_) {
    if (known.state == MemberView::State::kMember) known.state = MemberView::State::kJoined;
  }
}

void JobMonitor::Commit(const RoundRecord& record) {
  Count(record);
  const RoundReport& common = record.common();
  if (!IsAccounted(record.workers.front(), common)) discarded_ += TotalSize(common.discarded);
  view_.round_seconds = common.wall_seconds;
  std::map<std::string, double> batches;
  for (size_t i = 0; i < record.reports.size(); ++i) {
    const RoundReport& own = record.reports[i];
    batches[record.workers[i].group] += static_cast<double>(own.local_batch);
    if (common.checkpointed && own.seconds.checkpoint > 0)
      view_.checkpoint_seconds = std::max(own.seconds.checkpoint, 0.0);
  }
  batches_ = std::move(batches);
  TrainingProgress progress;
  progress.round = common.round;
  progress.samples =
      common.total_samples.value_or(common.cursor_end - TotalSize(common.holes) - discarded_);
  if (train_samples_ > 0)
    progress.epoch = static_cast<double>(progress.samples) / static_cast<double>(train_samples_);
  progress.global_batch = common.global_batch;
  progress.local_steps = common.local_steps;
  progress.loss = common.loss;
  progress.accuracy = view_.progress ? view_.progress->accuracy : known_.accuracy;
  progress.communication_percent = known_.communication_percent;
  view_.progress = progress;
  Tally();
}

void JobMonitor::Count(const RoundRecord& record) {
  const RoundReport& common = record.common();
  figures_.learning_rate = common.learning_rate;
  // Zero: not measured, as nothing depends on it.
  if (common.noise_scale > 0) figures_.noise_scale = common.noise_scale;
  if (common.norm_test_ratio > 0) figures_.norm_test_ratio = common.norm_test_ratio;
  const auto workers = static_cast<int64_t>(record.reports.size());
  counted_.data_parallel_bytes +=
      static_cast<int64_t>(static_cast<double>(workers) *
                           DataParallelBytesPerWorker(common.local_steps, workers, parameters_));
  for (size_t i = 0; i < record.reports.size(); ++i) {
    const RoundReport& own = record.reports[i];
    if (IsAccounted(record.workers[i], own)) continue;
    Add(own, counted_);
    WorkerFigures& worker = figures_.workers[{record.workers[i].group, record.workers[i].index}];
    if (own.delta_finite) worker.samples += own.local_samples;
    worker.sent_bytes += SumOf(own.bytes_sent);
  }
}

void JobMonitor::End(const WorkerId& worker, MemberView::State state, const std::string& reason,
                     ErrorCode code) {
  const auto it = workers_.find({worker.group, worker.index});
  if (it == workers_.end() || it->second.join.worker != worker) return;
  it->second.state = state;
  it->second.reason = reason;
  it->second.code = code;
}

std::vector<GroupProfile> JobMonitor::Profiles() const {
  double all = 0;
  for (const auto& [group, batch] : batches_) all += batch;
  std::map<std::string, GroupProfile> profiles;
  std::map<std::string, double> counts;
  for (const auto& [place, known] : workers_) {
    if (known.state != MemberView::State::kMember) continue;
    GroupProfile& profile = profiles[place.group];
    const WorkerProfile& own = known.join.profile;
    profile.group = place.group;
    profile.alpha += own.alpha;
    profile.beta += own.beta;
    // What the least of them can take.
    profile.micro_batch_cap = profile.micro_batch_cap == 0
                                  ? own.micro_batch_cap
                                  : std::min(profile.micro_batch_cap, own.micro_batch_cap);
    ++counts[place.group];
  }
  std::vector<GroupProfile> list;
  for (auto& [group, profile] : profiles) {
    profile.alpha /= counts[group];
    profile.beta /= counts[group];
    const auto batch = batches_.find(group);
    if (all > 0 && batch != batches_.end()) profile.share = batch->second / all;
    list.push_back(profile);
  }
  return list;
}

CoordinatorView JobMonitor::View() const {
  CoordinatorView view = view_;
  for (const auto& [place, known] : workers_) {
    view.members.push_back(
        {place, known.join.worker.incarnation, known.state, known.reason, known.code});
  }
  if (planned_) view.profiles = Profiles();
  return view;
}

}  // namespace longstride
