#include "controller/http/coordinator_service.h"

#include <algorithm>
#include <optional>

#include "controller/http/errors.h"
#include "core/base/format.h"
#include "core/protocol/json.h"

namespace longstride {
namespace {

constexpr double kMaxPollSeconds = 25;  // below the idle time of clients and proxies, usually 30
constexpr double kReportSeconds = 2;    // members end a round together, so others' reports are near
constexpr std::string_view kPrefix = "/v1/jobs/";

struct Route {
  JobKey key;
  std::string verb;
};

std::optional<Route> ParsePath(std::string_view path) {
  if (!path.starts_with(kPrefix)) return std::nullopt;
  path.remove_prefix(kPrefix.size());
  const size_t first = path.find('/');
  const size_t second = first == path.npos ? path.npos : path.find('/', first + 1);
  if (second == path.npos) return std::nullopt;
  return Route{
      {std::string(path.substr(0, first)), std::string(path.substr(first + 1, second - first - 1))},
      std::string(path.substr(second + 1))};
}

// In time that does not depend on how much of the token is right.
bool TokenMatches(std::string_view authorization, std::string_view token) {
  constexpr std::string_view kScheme = "Bearer ";
  if (!authorization.starts_with(kScheme)) return false;
  authorization.remove_prefix(kScheme.size());
  unsigned char difference = authorization.size() == token.size() ? 0 : 1;
  for (size_t i = 0; i < authorization.size(); ++i) {
    difference |= static_cast<unsigned char>(authorization[i] ^ token[i % token.size()]);
  }
  return difference == 0;
}

HttpResponse Answered(const Status& status) {
  return status.ok() ? HttpResponse{200, "{}"} : ErrorResponse(status.error());
}

}  // namespace

Status CoordinatorService::AddJob(const JobKey& key, std::string token, std::string job_json,
                                  CoordinatorOptions options) {
  if (token.empty()) return UserError("a hosted job needs a token");
  const std::lock_guard lock(mutex_);
  if (jobs_.contains(key))
    return UserError("job " + key.namespace_ + "/" + key.name + " is hosted already");
  jobs_[key] = std::make_unique<HostedJob>(HostedJob{std::move(token),
                                                     std::move(job_json),
                                                     Coordinator(std::move(options), clock_.Now()),
                                                     {},
                                                     {}});
  return {};
}

void CoordinatorService::RemoveJob(const JobKey& key) {
  Answers answers;
  {
    const std::lock_guard lock(mutex_);
    const auto it = jobs_.find(key);
    if (it == jobs_.end()) return;
    for (Parked& p : it->second->parked) {
      answers.push_back(
          {std::move(p.respond), ErrorResponse(TransientError("the job is hosted elsewhere"))});
    }
    jobs_.erase(it);
  }
  Send(answers);
}

void CoordinatorService::Handle(HttpRequest request, Respond respond) {
  if (request.path == "/healthz") {
    respond({200, "ok\n", "text/plain"});
    return;
  }
  const std::optional<Route> route = ParsePath(request.path);
  Answers answers;
  {
    const std::lock_guard lock(mutex_);
    const auto it = route ? jobs_.find(route->key) : jobs_.end();
    if (closed_) {
      answers.push_back(
          {std::move(respond), ErrorResponse(TransientError("the coordinator is stopping"))});
    } else if (it == jobs_.end()) {
      answers.push_back(
          {std::move(respond), StatusResponse(404, "nothing is hosted at " + request.path)});
    } else if (!TokenMatches(request.authorization, it->second->token)) {
      answers.push_back(
          {std::move(respond), StatusResponse(401, "the bearer token is missing or wrong")});
    } else {
      Dispatch(*it->second, route->verb, request, std::move(respond), answers);
      Settle(*it->second, clock_.Now(), answers);
    }
  }
  Send(answers);
}

void CoordinatorService::Dispatch(HostedJob& job, const std::string& verb,
                                  const HttpRequest& request, Respond respond, Answers& answers) {
  const TimePoint now = clock_.Now();
  Coordinator& coordinator = job.coordinator;
  const auto answer = [&](HttpResponse r) {
    answers.push_back({std::move(respond), std::move(r)});
  };
  // Parses the body with `parse` and gives it to `use`, or answers with what is wrong with it.
  const auto with = [&](const auto& parse, const auto& use) {
    const auto message = parse(request.body);
    if (!message.ok()) return answer(ErrorResponse(message.error()));
    use(*message);
  };
  if (request.method != (verb == "job" ? "GET" : "POST")) {
    answer(StatusResponse(405, "use " + std::string(verb == "job" ? "GET" : "POST") + " here"));
  } else if (verb == "job") {
    answer({200, job.json});
  } else if (verb == "join") {
    with(ParseJoinRequest,
         [&](const JoinRequest& m) { answer(Answered(coordinator.Join(m, now))); });
  } else if (verb == "heartbeat") {
    with(ParseHeartbeatRequest, [&](const HeartbeatRequest& m) {
      answer({200, ToJsonText(coordinator.Heartbeat(m, now))});
    });
  } else if (verb == "report") {
    with(ParseReportRequest, [&](const ReportRequest& m) {
      if (const Status taken = coordinator.Report(m, now); !taken.ok()) {
        return answer(ErrorResponse(taken.error()));
      }
      const auto attempt = [report = m.report](Coordinator& c,
                                               bool last) -> std::optional<HttpResponse> {
        const std::optional<RoundReply> reply = c.ReplyTo(report, last);
        if (!reply) return std::nullopt;
        return HttpResponse{200, ToJsonText(*reply)};
      };
      Park(job, kReportSeconds, {now, attempt, std::move(respond)});
    });
  } else if (verb == "leave") {
    with(ParseLeaveRequest,
         [&](const LeaveRequest& m) { answer(Answered(coordinator.Leave(m, now))); });
  } else if (verb == "store/set") {
    with(ParseStoreSetRequest,
         [&](const StoreSetRequest& m) { answer(Answered(coordinator.StoreSet(m))); });
  } else if (verb == "store/read") {
    with(ParseStoreReadRequest, [&](const StoreReadRequest& m) {
      const auto attempt = [m](Coordinator& c, bool last) -> std::optional<HttpResponse> {
        const auto reply = c.StoreRead(m, last);
        if (!reply.ok()) return ErrorResponse(reply.error());
        if (!reply->has_value()) return std::nullopt;
        return HttpResponse{200, ToJsonText(**reply)};
      };
      Park(job, m.wait_seconds, {now, attempt, std::move(respond)});
    });
  } else if (verb == "generation") {
    with(ParseGenerationRequest, [&](const GenerationRequest& m) {
      const auto attempt = [m, now](Coordinator& c, bool last) -> std::optional<HttpResponse> {
        std::optional<GenerationReply> reply = c.PollGeneration(m, now);
        if (!reply && last) reply.emplace();
        if (!reply) return std::nullopt;
        return HttpResponse{200, ToJsonText(*reply)};
      };
      Park(job, m.wait_seconds, {now, attempt, std::move(respond)});
    });
  } else {
    answer(StatusResponse(404, "unknown request: " + verb));
  }
}

void CoordinatorService::Park(HostedJob& job, double wait_seconds, Parked parked) {
  parked.until += FromSeconds(std::min(wait_seconds, kMaxPollSeconds));
  job.parked.push_back(std::move(parked));
}

void CoordinatorService::Settle(HostedJob& job, TimePoint now, Answers& answers) {
  // What one poll brings about may be what an earlier one waits for.
  for (bool again = true; again;) {
    again = false;
    for (auto it = job.parked.begin(); it != job.parked.end();) {
      std::optional<HttpResponse> response = it->attempt(job.coordinator, now >= it->until);
      if (response) {
        answers.push_back({std::move(it->respond), std::move(*response)});
        it = job.parked.erase(it);
        again = true;
      } else {
        ++it;
      }
    }
  }
  std::vector<Event> events = job.coordinator.DrainEvents();
  if (events.empty()) return;
  for (Event& event : events) {
    event.unix_seconds = clock_.UnixSeconds();
    if (auto* committed = std::get_if<RoundCommittedEvent>(&event.data)) {
      committed->record.unix_seconds = event.unix_seconds;
    }
    job.events.push_back(std::move(event));
  }
  events_ready_.notify_all();
}

void CoordinatorService::Tick() {
  Answers answers;
  {
    const std::lock_guard lock(mutex_);
    const TimePoint now = clock_.Now();
    for (auto& [key, job] : jobs_) {
      job->coordinator.Tick(now);
      Settle(*job, now, answers);
    }
  }
  Send(answers);
}

bool CoordinatorService::WithJob(const JobKey& key,
                                 const std::function<void(Coordinator&, TimePoint)>& use) {
  Answers answers;
  {
    const std::lock_guard lock(mutex_);
    const auto it = jobs_.find(key);
    if (it == jobs_.end()) return false;
    const TimePoint now = clock_.Now();
    use(it->second->coordinator, now);
    Settle(*it->second, now, answers);
  }
  Send(answers);
  return true;
}

std::vector<Event> CoordinatorService::WaitForEvents(const JobKey& key, Duration timeout) {
  std::unique_lock lock(mutex_);
  const auto ready = [&] {
    const auto it = jobs_.find(key);
    return it == jobs_.end() || !it->second->events.empty() || closed_;
  };
  events_ready_.wait_for(lock, timeout, ready);
  const auto it = jobs_.find(key);
  if (it == jobs_.end()) return {};
  return std::exchange(it->second->events, {});
}

void CoordinatorService::Close() {
  Answers answers;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    for (auto& [key, job] : jobs_) {
      for (Parked& p : job->parked) {
        answers.push_back(
            {std::move(p.respond), ErrorResponse(TransientError("the coordinator is stopping"))});
      }
      job->parked.clear();
    }
    events_ready_.notify_all();
  }
  Send(answers);
}

void CoordinatorService::Send(Answers& answers) {
  for (Answer& a : answers) a.respond(std::move(a.response));
}

}  // namespace longstride
