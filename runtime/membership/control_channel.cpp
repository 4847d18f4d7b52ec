#include "runtime/membership/control_channel.h"

#include <algorithm>

#include "core/base/log.h"
#include "core/protocol/json.h"
#include "core/protocol/superseded_plans.h"

namespace longstride {
namespace {

constexpr Duration kResendDelay = std::chrono::milliseconds(500);
// Of a registration with the reports that it takes along: the coordinator refuses bodies of over
// 4 MiB.
constexpr size_t kMaxRegistrationBytes = size_t{3} << 20;

HeartbeatReply OverFor(const Error& refused) {
  HeartbeatReply over;
  over.state = refused.code == ErrorCode::kLostPeer ? MemberState::kFenced : MemberState::kEnded;
  over.reason = refused.message;
  return over;
}

void Add(std::vector<int64_t>& sums, const std::vector<int64_t>& terms) {
  sums.resize(std::max(sums.size(), terms.size()));
  for (size_t i = 0; i < terms.size(); ++i) sums[i] += terms[i];
}

}  // namespace

QueuedControlChannel::QueuedControlChannel(std::shared_ptr<CoordinatorClient> client,
                                           JoinRequest join,
                                           std::function<void(const HeartbeatReply&)> over,
                                           std::function<std::vector<int64_t>(GenerationId)> silent,
                                           Duration heartbeat_period)
    : client_(std::move(client)),
      join_(std::move(join)),
      over_(std::move(over)),
      silent_(std::move(silent)),
      heartbeat_period_(heartbeat_period),
      round_(join_.round),
      settled_(join_.round),
      heartbeat_thread_([this] { RunHeartbeats(); }),
      report_thread_([this] { RunReports(); }) {}

QueuedControlChannel::~QueuedControlChannel() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  wake_.notify_all();
  heartbeat_thread_.join();
  report_thread_.join();
}

void QueuedControlChannel::Enter(const Generation& generation, int64_t round) {
  const std::lock_guard lock(mutex_);
  generation_ = generation;
  left_ = false;
  over_told_ = false;
  reform_ = false;
  round_ = settled_ = round;
  DropAll();  // of the generation before: void, or taken
  plans_.clear();
  AddPlans(generation.plans);
}

void QueuedControlChannel::HeartbeatNow() {
  {
    const std::lock_guard lock(mutex_);
    heartbeat_now_ = true;
  }
  wake_.notify_all();
}

void QueuedControlChannel::Left(int64_t round) {
  const std::lock_guard lock(mutex_);
  left_ = true;
  round_ = round;
}

void QueuedControlChannel::Leaving() {
  const std::lock_guard lock(mutex_);
  leaving_ = true;
}

std::vector<Plan> QueuedControlChannel::Plans() {
  const std::lock_guard lock(mutex_);
  return plans_;
}

BoundaryRequest QueuedControlChannel::Requested() {
  const std::lock_guard lock(mutex_);
  if (stop_) return BoundaryRequest::kStop;
  return reform_ ? BoundaryRequest::kReform : BoundaryRequest::kNone;
}

void QueuedControlChannel::Report(const RoundReport& report) {
  {
    const std::lock_guard lock(mutex_);
    if (reports_.empty()) settled_ = std::max(settled_, report.round - 1);
    if (reports_.size() == kMaxUnsettledReports) DropOldest();
    reports_.push_back(report);
    round_ = report.round;
    if (report.checkpoint) checkpoint_ = report.checkpoint;
    DropSuperseded(plans_, report.plan_version);
    AddTotals(report);
  }
  wake_.notify_all();
}

std::string QueuedControlChannel::stop_reason() const {
  const std::lock_guard lock(mutex_);
  return stop_reason_;
}

Status QueuedControlChannel::Flush(Duration timeout) {
  std::unique_lock lock(mutex_);
  if (drained_.wait_for(lock, timeout, [this] { return taken_ == reports_.size(); })) return {};
  return TransientError(std::to_string(reports_.size() - taken_) +
                        " round reports have not reached the coordinator");
}

void QueuedControlChannel::RunHeartbeats() {
  bool reachable = true;
  std::unique_lock lock(mutex_);
  while (!closing_) {
    HeartbeatRequest request;
    request.worker = join_.worker;
    request.generation = generation_.id;
    request.round = round_;
    heartbeat_now_ = false;
    lock.unlock();
    if (silent_) request.silent = silent_(request.generation);
    const Result<HeartbeatReply> reply = client_->Heartbeat(request);
    if (reply.ok() && reply->state == MemberState::kUnknown) Register();
    if (reply.ok()) Take(*reply, request.generation);
    if (reply.ok() != reachable) {
      reachable = reply.ok();
      if (reachable) LogInfo("membership", "the coordinator answers again");
      if (!reachable) LogWarning("membership", "heartbeat failed: " + reply.error().message);
    }
    lock.lock();
    wake_.wait_for(lock, heartbeat_period_, [this] { return closing_ || heartbeat_now_; });
  }
}

void QueuedControlChannel::Take(const HeartbeatReply& reply, GenerationId generation) {
  bool tell = false;
  {
    const std::lock_guard lock(mutex_);
    const bool present = generation == generation_.id;  // Enter may have been quicker
    TakeRequests(reply.stop, reply.stop_reason, present && reply.reform);
    const bool over =
        present && (reply.state == MemberState::kReform || reply.state == MemberState::kFenced ||
                    reply.state == MemberState::kEnded);
    tell = over && !over_told_;
    if (tell) over_told_ = true;
  }
  if (tell && over_) over_(reply);
}

void QueuedControlChannel::RunReports() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return closing_ || taken_ < reports_.size(); });
    if (closing_) return;
    const RoundReport report = reports_[taken_];
    lock.unlock();
    const Result<RoundReply> reply = client_->Report(join_.worker, report);
    lock.lock();
    if (!reply.ok() && reply.error().code == ErrorCode::kTransient) {
      wake_.wait_for(lock, kResendDelay, [this] { return closing_; });
      continue;
    }
    // In the meantime Enter may have thrown them away, or registering taken them along.
    const bool present = report.generation == generation_.id;
    if (reply.ok()) {
      if (present && taken_ < reports_.size() && reports_[taken_].round == report.round) ++taken_;
      while (present && taken_ > 0 && reports_.front().round <= reply->committed) DropOldest();
      if (present) AddPlans(reply->plans);
      TakeRequests(reply->stop, reply->stop_reason, present && reply->reform);
    } else if (present) {
      DropAll();
    }
    if (taken_ == reports_.size()) drained_.notify_all();
    if (reply.ok() || !present) continue;
    lock.unlock();
    LogError("membership", "round report refused: " + reply.error().message);
    Take(OverFor(reply.error()), report.generation);
    lock.lock();
  }
}

// The coordinator is not the one that this worker joined.
void QueuedControlChannel::Register() {
  RegisterRequest request;
  std::deque<RoundReport> reports;
  {
    const std::lock_guard lock(mutex_);
    request.join = join_;
    if (generation_.id.counter > 0) {
      request.generation = generation_;
      request.generation->plans = plans_;
    }
    request.left = left_;
    request.leaving = leaving_;
    request.round = round_;
    request.settled = settled_;
    request.totals = totals_;
    request.checkpoint = checkpoint_;
    reports = reports_;
  }
  // The oldest; those that do not go into one body follow as reports.
  size_t bytes = ToJsonText(request).size();
  for (RoundReport& report : reports) {
    bytes += ToJsonText(ReportRequest{join_.worker, report}).size();
    if (bytes > kMaxRegistrationBytes) break;
    request.reports.push_back(std::move(report));
  }
  const GenerationId generation = request.generation ? request.generation->id : GenerationId{};
  const Status registered = client_->Register(request);
  if (registered.ok()) {
    LogInfo("membership", "registered with a new coordinator");
    const std::lock_guard lock(mutex_);
    if (request.reports.empty() || generation != generation_.id) return;
    const int64_t last = request.reports.back().round;
    while (taken_ < reports_.size() && reports_[taken_].round <= last) ++taken_;
    if (taken_ == reports_.size()) drained_.notify_all();
    return;
  }
  LogWarning("membership", "not registered: " + registered.error().message);
  if (registered.error().code == ErrorCode::kTransient) return;  // the next heartbeat tries again
  {
    const std::lock_guard lock(mutex_);
    if (generation == generation_.id) DropAll();
  }
  drained_.notify_all();
  Take(OverFor(registered.error()), generation);
}

void QueuedControlChannel::TakeRequests(bool stop, const std::string& reason, bool reform) {
  reform_ = reform_ || reform;
  if (!stop) return;
  if (stop_reason_.empty()) stop_reason_ = reason.empty() ? "the coordinator asked for it" : reason;
  stop_ = true;
}

void QueuedControlChannel::AddPlans(const std::vector<Plan>& plans) {
  for (const Plan& plan : plans) {
    const bool known = std::any_of(plans_.begin(), plans_.end(),
                                   [&](const Plan& p) { return p.version == plan.version; });
    if (!known) plans_.push_back(plan);
  }
  std::stable_sort(plans_.begin(), plans_.end(), [](const Plan& a, const Plan& b) {
    return std::pair(a.first_round, a.version) < std::pair(b.first_round, b.version);
  });
}

void QueuedControlChannel::AddTotals(const RoundReport& report) {
  ++totals_.rounds;
  if (report.delta_finite) totals_.samples += report.local_samples;
  totals_.discarded += TotalSize(report.discarded);
  for (const auto& [name, seconds] : kActivities)
    totals_.seconds.*seconds += report.seconds.*seconds;
  totals_.wall_seconds += report.wall_seconds;
  Add(totals_.bytes_sent, report.bytes_sent);
  Add(totals_.bytes_received, report.bytes_received);
}

void QueuedControlChannel::DropOldest() {
  settled_ = reports_.front().round;
  reports_.pop_front();
  if (taken_ > 0) --taken_;
}

void QueuedControlChannel::DropAll() {
  reports_.clear();
  taken_ = 0;
}

}  // namespace longstride
