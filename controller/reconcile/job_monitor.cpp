#include "controller/reconcile/job_monitor.h"

#include <algorithm>

namespace longstride {
namespace {

template <typename... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <typename... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;

void Add(const ActivitySeconds& from, ActivitySeconds& to) {
  to.data += from.data;
  to.compute += from.compute;
  to.communication += from.communication;
  to.outer += from.outer;
  to.evaluation += from.evaluation;
  to.checkpoint += from.checkpoint;
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
  discarded_ += TotalSize(common.discarded);
  view_.round_seconds = common.wall_seconds;
  std::map<std::string, double> batches;
  for (size_t i = 0; i < record.reports.size(); ++i) {
    const RoundReport& own = record.reports[i];
    worker_seconds_ += own.wall_seconds;
    communication_seconds_ += own.seconds.communication;
    for (const int64_t bytes : own.bytes_sent) bytes_sent_ += static_cast<double>(bytes);
    batches[record.workers[i].group] += static_cast<double>(own.local_batch);
    if (common.checkpointed && own.seconds.checkpoint > 0)
      view_.checkpoint_seconds = std::max(own.seconds.checkpoint, 0.0);
  }
  batches_ = std::move(batches);
  TrainingProgress progress;
  progress.round = common.round;
  progress.samples = common.cursor_end - TotalSize(common.holes) - discarded_;
  if (train_samples_ > 0)
    progress.epoch = static_cast<double>(progress.samples) / static_cast<double>(train_samples_);
  progress.global_batch = common.global_batch;
  progress.local_steps = common.local_steps;
  progress.loss = common.loss;
  progress.accuracy = view_.progress ? view_.progress->accuracy : known_.accuracy;
  progress.bytes_sent = known_.bytes_sent + static_cast<int64_t>(bytes_sent_);
  if (worker_seconds_ > 0)
    progress.communication_percent = 100 * communication_seconds_ / worker_seconds_;
  view_.progress = progress;
}

void JobMonitor::Count(const RoundRecord& record) {
  const RoundReport& common = record.common();
  figures_.learning_rate = common.learning_rate;
  // Zero: not measured, as nothing depends on it.
  if (common.noise_scale > 0) figures_.noise_scale = common.noise_scale;
  if (common.norm_test_ratio > 0) figures_.norm_test_ratio = common.norm_test_ratio;
  const auto workers = static_cast<int64_t>(record.reports.size());
  figures_.data_parallel_bytes +=
      static_cast<double>(workers) *
      DataParallelBytesPerWorker(common.local_steps, workers, parameters_);
  for (size_t i = 0; i < record.reports.size(); ++i) {
    const RoundReport& own = record.reports[i];
    Add(own.seconds, figures_.seconds);
    WorkerFigures& worker = figures_.workers[{record.workers[i].group, record.workers[i].index}];
    if (own.delta_finite) worker.samples += own.local_samples;
    figures_.sent_bytes.resize(std::max(figures_.sent_bytes.size(), own.bytes_sent.size()));
    for (size_t purpose = 0; purpose < own.bytes_sent.size(); ++purpose) {
      figures_.sent_bytes[purpose] += own.bytes_sent[purpose];
      worker.sent_bytes += own.bytes_sent[purpose];
    }
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
