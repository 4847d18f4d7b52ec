#include "runtime/membership/control_channel.h"

#include <algorithm>

#include "core/base/log.h"

namespace longstride {
namespace {

constexpr Duration kResendDelay = std::chrono::milliseconds(500);

}  // namespace

QueuedControlChannel::QueuedControlChannel(std::shared_ptr<CoordinatorClient> client,
                                           WorkerId worker,
                                           std::function<void(const HeartbeatReply&)> over,
                                           std::function<std::vector<int64_t>(GenerationId)> silent,
                                           Duration heartbeat_period)
    : client_(std::move(client)),
      worker_(std::move(worker)),
      over_(std::move(over)),
      silent_(std::move(silent)),
      heartbeat_period_(heartbeat_period),
      heartbeats_([this] { RunHeartbeats(); }),
      reports_([this] { RunReports(); }) {}

QueuedControlChannel::~QueuedControlChannel() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  wake_.notify_all();
  heartbeats_.join();
  reports_.join();
}

void QueuedControlChannel::Enter(const Generation& generation) {
  const std::lock_guard lock(mutex_);
  generation_ = generation.id;
  over_told_ = false;
  reform_ = false;
  queue_.clear();  // of the generation before: void
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
    queue_.push_back(report);
    round_ = report.round;
  }
  wake_.notify_all();
}

std::string QueuedControlChannel::stop_reason() const {
  const std::lock_guard lock(mutex_);
  return stop_reason_;
}

Status QueuedControlChannel::Flush(Duration timeout) {
  std::unique_lock lock(mutex_);
  if (drained_.wait_for(lock, timeout, [this] { return queue_.empty(); })) return {};
  return TransientError(std::to_string(queue_.size()) +
                        " round reports have not reached the coordinator");
}

void QueuedControlChannel::RunHeartbeats() {
  bool reachable = true;
  std::unique_lock lock(mutex_);
  while (!closing_) {
    HeartbeatRequest request;
    request.worker = worker_;
    request.generation = generation_;
    request.round = round_;
    heartbeat_now_ = false;
    lock.unlock();
    if (silent_) request.silent = silent_(request.generation);
    const Result<HeartbeatReply> reply = client_->Heartbeat(request);
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
    const bool present = generation == generation_;  // Enter may have been quicker
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
    wake_.wait(lock, [this] { return closing_ || !queue_.empty(); });
    if (closing_) return;
    const RoundReport report = queue_.front();
    lock.unlock();
    const Result<RoundReply> reply = client_->Report(worker_, report);
    lock.lock();
    if (!reply.ok() && reply.error().code == ErrorCode::kTransient) {
      wake_.wait_for(lock, kResendDelay, [this] { return closing_; });
      continue;
    }
    // Enter may have thrown the queue away in the meantime.
    const bool present = !queue_.empty() && queue_.front().generation == report.generation &&
                         queue_.front().round == report.round;
    if (present) queue_.pop_front();
    if (reply.ok()) {
      if (present) AddPlans(reply->plans);
      TakeRequests(reply->stop, reply->stop_reason, present && reply->reform);
    } else if (present) {
      queue_.clear();
    }
    if (queue_.empty()) drained_.notify_all();
    if (reply.ok() || !present) continue;
    lock.unlock();
    LogError("membership", "round report refused: " + reply.error().message);
    HeartbeatReply over;
    over.state =
        reply.error().code == ErrorCode::kLostPeer ? MemberState::kFenced : MemberState::kEnded;
    over.reason = reply.error().message;
    Take(over, report.generation);
    lock.lock();
  }
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

}  // namespace longstride
