#include <algorithm>
#include <mutex>
#include <random>
#include <thread>

#include "core/base/clock.h"
#include "core/base/random.h"
#include "core/protocol/json.h"
#include "core/spec/parse.h"
#include "runtime/membership/http_exchange.h"
#include "runtime/membership/membership.h"

namespace longstride {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Stopped = std::function<bool()>;

constexpr double kPollSeconds = 20;  // a long poll asks for this much; then it asks again
constexpr Duration kUnreachable = std::chrono::minutes(10);
constexpr Duration kFirstDelay = milliseconds(50);
constexpr Duration kMaxDelay = seconds(2);
constexpr Duration kUnknownDelay = milliseconds(200);  // while another thread registers
constexpr Duration kSlice = milliseconds(50);

bool MayRetry(const Error& error) {
  return error.code == ErrorCode::kTransient;
}

Error ErrorOf(const HttpAnswer& answer) {
  const Result<ErrorReply> reply = ParseErrorReply(answer.body);
  if (reply.ok()) return {reply->code, "the coordinator refused: " + reply->message};
  const std::string message =
      "the coordinator answered with HTTP status " + std::to_string(answer.status);
  if (answer.status >= 500 || answer.status == 429) return TransientError(message);
  return UserError(message);
}

class HttpCoordinatorClient final : public CoordinatorClient {
 public:
  explicit HttpCoordinatorClient(Result<std::unique_ptr<HttpExchange>> exchange)
      : exchange_(std::move(exchange)), random_(std::random_device{}()) {}

  Result<TrainingJob> FetchJob() override {
    LONGSTRIDE_ASSIGN_OR_RETURN(const std::string text,
                                Retry("GET", "job", "", kUnreachable, seconds(10)));
    ParsedJob parsed = ParseTrainingJob(text, "job", {}, /*started=*/true);
    if (!parsed.ok()) return ToError(parsed.faults);
    return std::move(*parsed.job);
  }

  Status Join(const JoinRequest& request) override {
    return Discard(Retry("POST", "join", ToJsonText(request), kUnreachable, seconds(10)));
  }

  Status Register(const RegisterRequest& request) override {
    return Discard(Once("POST", "register", ToJsonText(request), seconds(10), {}));
  }

  Result<Generation> AwaitGeneration(const WorkerId& worker, GenerationId after, int64_t round,
                                     const std::string& reason, const Stopped& stopped) override {
    const std::string body =
        ToJsonText(GenerationRequest{worker, after, round, reason, kPollSeconds});
    TimePoint known = clock_.Now();
    while (true) {
      LONGSTRIDE_ASSIGN_OR_RETURN(
          const std::string text,
          Retry("POST", "generation", body, kUnreachable, FromSeconds(kPollSeconds + 10), stopped));
      LONGSTRIDE_ASSIGN_OR_RETURN(GenerationReply reply, Parsed(ParseGenerationReply(text)));
      if (reply.state != MemberState::kUnknown) {
        known = clock_.Now();
      } else if (clock_.Now() - known > kUnreachable) {
        return TransientError("a new coordinator does not take this worker in");
      } else if (!Pause(kUnknownDelay, stopped)) {
        return InterruptedError("stopped while waiting for the coordinator");
      }
      if (reply.state == MemberState::kTraining) return std::move(*reply.generation);
      if (reply.state == MemberState::kFenced) return LostPeerError(reply.reason);
      if (reply.state == MemberState::kEnded) {
        const std::string message = "the job has ended: " + reply.reason;
        return reply.failed ? LostPeerError(message) : InterruptedError(message);
      }
    }
  }

  Result<HeartbeatReply> Heartbeat(const HeartbeatRequest& request) override {
    LONGSTRIDE_ASSIGN_OR_RETURN(const std::string text,
                                Once("POST", "heartbeat", ToJsonText(request), seconds(2), {}));
    return Parsed(ParseHeartbeatReply(text));
  }

  Result<RoundReply> Report(const WorkerId& worker, const RoundReport& report) override {
    LONGSTRIDE_ASSIGN_OR_RETURN(
        const std::string text,
        Once("POST", "report", ToJsonText(ReportRequest{worker, report}), seconds(5), {}));
    return Parsed(ParseRoundReply(text));
  }

  Status Leave(const LeaveRequest& request) override {
    const Duration patience = request.mid_round ? seconds(1) : seconds(5);
    return Discard(Retry("POST", "leave", ToJsonText(request), patience, patience));
  }

  Status StoreSet(GenerationId generation, const std::string& key,
                  const std::vector<uint8_t>& value) override {
    return Discard(Retry("POST", "store/set", ToJsonText(StoreSetRequest{generation, key, value}),
                         seconds(30), seconds(10)));
  }

  Result<std::vector<std::pair<std::string, std::vector<uint8_t>>>> StoreRead(
      GenerationId generation, int64_t count, double timeout_seconds) override {
    const TimePoint until = clock_.Now() + FromSeconds(timeout_seconds);
    while (true) {
      const double left = std::max(0.0, ToSeconds(until - clock_.Now()));
      const double wait = std::min(left, kPollSeconds);
      LONGSTRIDE_ASSIGN_OR_RETURN(
          const std::string text,
          Retry("POST", "store/read", ToJsonText(StoreReadRequest{generation, count, wait}),
                FromSeconds(left) + seconds(5), FromSeconds(wait) + seconds(10)));
      LONGSTRIDE_ASSIGN_OR_RETURN(StoreReply reply, Parsed(ParseStoreReply(text)));
      const bool enough = static_cast<int64_t>(reply.entries.size()) >= count;
      if (enough || clock_.Now() >= until) return std::move(reply.entries);
    }
  }

 private:
  static Status Discard(const Result<std::string>& answer) {
    return answer.ok() ? Status() : answer.error();
  }

  // An answer that we cannot read is the coordinator's fault, not the user's.
  template <typename T>
  static Result<T> Parsed(Result<T> message) {
    if (message.ok()) return message;
    return BugError("the coordinator's answer is malformed: " + message.error().message);
  }

  Result<std::string> Once(const std::string& method, const std::string& verb,
                           const std::string& body, Duration limit, const Stopped& stopped) {
    if (!exchange_.ok()) return exchange_.error();
    LONGSTRIDE_ASSIGN_OR_RETURN(HttpAnswer answer,
                                (*exchange_)->Send(method, "/" + verb, body, limit, stopped));
    if (answer.status != 200) return ErrorOf(answer);
    return std::move(answer.body);
  }

  // Attempts of at most `attempt` each until one is answered or `deadline` has passed.
  Result<std::string> Retry(const std::string& method, const std::string& verb,
                            const std::string& body, Duration deadline, Duration attempt,
                            const Stopped& stopped = {}) {
    const TimePoint begin = clock_.Now();
    for (Duration delay = kFirstDelay;; delay = std::min(2 * delay, kMaxDelay)) {
      Result<std::string> answer = Once(method, verb, body, attempt, stopped);
      if (answer.ok() || !MayRetry(answer.error())) return answer;
      const Duration jittered = FromSeconds(ToSeconds(delay) * (0.5 + Uniform()));
      if (clock_.Now() + jittered - begin >= deadline) return answer;
      if (!Pause(jittered, stopped))
        return InterruptedError("stopped while waiting for the coordinator");
    }
  }

  // False if `stopped` cut it short.
  bool Pause(Duration length, const Stopped& stopped) const {
    const TimePoint until = clock_.Now() + length;
    while (clock_.Now() < until) {
      if (stopped && stopped()) return false;
      std::this_thread::sleep_for(std::min<Duration>(kSlice, until - clock_.Now()));
    }
    return true;
  }

  double Uniform() {
    const std::lock_guard lock(random_mutex_);
    return random_.NextUniform();
  }

  const Result<std::unique_ptr<HttpExchange>> exchange_;
  const SystemClock clock_{};
  std::mutex random_mutex_;
  SeededRandom random_;
};

}  // namespace

std::unique_ptr<CoordinatorClient> MakeHttpCoordinatorClient(CoordinatorEndpoint endpoint) {
  return std::make_unique<HttpCoordinatorClient>(
      MakeHttpExchange({endpoint.url, endpoint.token, endpoint.token_file, endpoint.ca_file}));
}

}  // namespace longstride
