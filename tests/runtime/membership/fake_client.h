// A CoordinatorClient that answers from memory, for the tests of what stands on it. Thread-safe.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "runtime/membership/membership.h"

namespace longstride {

class FakeClient final : public CoordinatorClient {
 public:
  Result<TrainingJob> FetchJob() override { return TrainingJob{}; }
  Status Join(const JoinRequest&) override { return {}; }
  Status Register(const RegisterRequest& request) override {
    const std::lock_guard lock(mutex_);
    registrations_.push_back(request);
    heartbeat_.state = MemberState::kTraining;  // it is known from now on
    registered_.notify_all();
    return {};
  }
  Result<Generation> AwaitGeneration(const WorkerId&, GenerationId, int64_t, const std::string&,
                                     const std::function<bool()>&) override {
    return TransientError("not in this test");
  }
  Result<HeartbeatReply> Heartbeat(const HeartbeatRequest& request) override {
    const std::lock_guard lock(mutex_);
    heartbeats_.push_back(request);
    heard_.notify_all();
    return heartbeat_;
  }
  Result<RoundReply> Report(const WorkerId&, const RoundReport& report) override {
    const std::lock_guard lock(mutex_);
    ++attempts_;
    if (failures_ > 0) {
      --failures_;
      return failure_;
    }
    reported_.push_back(report.round);
    return reply_;
  }
  Status Leave(const LeaveRequest&) override { return {}; }
  Status StoreSet(GenerationId, const std::string& key,
                  const std::vector<uint8_t>& value) override {
    const std::lock_guard lock(mutex_);
    keys_[key] = value;
    return {};
  }
  Result<std::vector<std::pair<std::string, std::vector<uint8_t>>>> StoreRead(GenerationId,
                                                                              int64_t count,
                                                                              double) override {
    const std::lock_guard lock(mutex_);
    reads_.push_back(count);
    return std::vector<std::pair<std::string, std::vector<uint8_t>>>(keys_.begin(), keys_.end());
  }

  void FailReports(int times, Error error) {
    const std::lock_guard lock(mutex_);
    failures_ = times;
    failure_ = std::move(error);
  }
  void AnswerHeartbeats(HeartbeatReply reply) {
    const std::lock_guard lock(mutex_);
    heartbeat_ = std::move(reply);
  }
  void AnswerReports(RoundReply reply) {
    const std::lock_guard lock(mutex_);
    reply_ = std::move(reply);
  }
  // Waits for the first registration.
  RegisterRequest AwaitRegistration() {
    std::unique_lock lock(mutex_);
    registered_.wait(lock, [&] { return !registrations_.empty(); });
    return registrations_.front();
  }
  std::vector<int64_t> reported() {
    const std::lock_guard lock(mutex_);
    return reported_;
  }
  int attempts() {
    const std::lock_guard lock(mutex_);
    return attempts_;
  }
  // Waits for a heartbeat that names these ranks as silent.
  void AwaitSilent(const std::vector<int64_t>& ranks) {
    std::unique_lock lock(mutex_);
    heard_.wait(lock, [&] { return !heartbeats_.empty() && heartbeats_.back().silent == ranks; });
  }
  std::vector<int64_t> reads() {
    const std::lock_guard lock(mutex_);
    return reads_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable heard_;
  std::vector<HeartbeatRequest> heartbeats_;
  HeartbeatReply heartbeat_{MemberState::kTraining, false, "", false, ""};
  RoundReply reply_;
  int failures_ = 0;
  int attempts_ = 0;
  Error failure_;
  std::vector<int64_t> reported_;
  std::vector<RegisterRequest> registrations_;
  std::condition_variable registered_;
  std::map<std::string, std::vector<uint8_t>> keys_;
  std::vector<int64_t> reads_;
};

}  // namespace longstride
