// How the job ends.
#include "controller/coordinator/coordinator.h"
#include "core/base/format.h"

namespace longstride {
namespace {

// A worker that is started anew would fail in the same way.
bool Recurs(ErrorCode code) {
  return code != ErrorCode::kLostPeer && code != ErrorCode::kTransient;
}

}  // namespace

void Coordinator::CountLost(ErrorCode code, const std::string& what) {
  ++lost_;
  const int64_t limit = options_.job.spec.run_policy.backoff_limit;
  if (Recurs(code)) {
    End(JobOutcome::kFailed, code, what);
  } else if (lost_ > limit) {
    End(JobOutcome::kFailed, code,
        limit == 0 ? what
                   : Format("%s; runPolicy.backoffLimit allows %lld lost workers", what.c_str(),
                            static_cast<long long>(limit)));
  }
}

void Coordinator::EndIfAllLeft(const std::string& stopped) {
  const bool trains = Any(Phase::kMember) || Any(Phase::kDetached);
  if (!settled_) return;
  if (trains || (CountPresent() > 0 && !completed_ && !stop_reason_)) return;
  if (completed_) {
    // What the first to finish had committed is committed, whoever could still report it.
    if (CommitAll(ledger_.Close(std::max(completed_round_, ledger_.round()))))
      End(JobOutcome::kCompleted, ErrorCode::kInterrupted, "all workers completed");
  } else if (stop_reason_ || !stopped.empty()) {
    End(JobOutcome::kStopped, ErrorCode::kInterrupted, stop_reason_.value_or(stopped));
  }
}

void Coordinator::End(JobOutcome outcome, ErrorCode code, const std::string& reason) {
  if (end_) return;
  end_ = JobEnd{outcome, code, reason};
  Emit(EndedEvent{*end_});
}

void Coordinator::RequestStop(const std::string& reason) {
  if (stop_reason_ || end_) return;
  stop_reason_ = reason;
  Emit(StopRequestedEvent{reason});
  const bool forming = generation_id_.counter > 0 && CountPresent() > 0 && !waiting_;
  if (!Any(Phase::kMember) && !forming && settled_)
    End(JobOutcome::kStopped, ErrorCode::kInterrupted, reason);
}

bool Coordinator::quiet() const {
  return CountPresent() == 0;
}

}  // namespace longstride
