#include "controller/http/hosted_job.h"

#include <algorithm>

#include "controller/http/errors.h"
#include "core/protocol/json.h"

namespace longstride {
namespace {

constexpr double kMaxPollSeconds = 25;  // below the idle time of clients and proxies, usually 30
constexpr double kReportSeconds = 2;    // members end a round together, so others' reports are near
constexpr size_t kMaxParked = 16384;    // four for each of 4096 members

HttpResponse Answered(const Status& status) {
  return status.ok() ? HttpResponse{200, "{}"} : ErrorResponse(status.error());
}

// Whom a message speaks for.
const WorkerId& Speaker(const auto& message) {
  return message.worker;
}
const WorkerId& Speaker(const RegisterRequest& message) {
  return message.join.worker;
}

}  // namespace

HostedJob::Work HostedJob::Understand(const std::string& verb, const HttpRequest& request,
                                      const std::optional<WorkerPlace>& place) const {
  const char* method = verb == "job" ? "GET" : "POST";
  if (request.method != method)
    return {{}, 0, StatusResponse(405, std::string("use ") + method + " here")};
  if (verb == "job") return {{}, 0, HttpResponse{200, json_}};
  // Parses the body and makes of the message what `work` does, or says what is wrong with it.
  const auto with = [&](const auto& message, const auto& work) -> Work {
    if (!message.ok()) return {{}, 0, ErrorResponse(message.error())};
    return work(*message);
  };
  const auto by_worker = [&](const auto& message, const auto& work) -> Work {
    if (!message.ok()) return {{}, 0, ErrorResponse(message.error())};
    const WorkerId& id = Speaker(*message);
    if (place && *place != WorkerPlace{id.group, id.index})
      return {{}, 0, StatusResponse(403, "the bearer token is that of worker " + place->Name())};
    return work(*message);
  };
  const auto at_once = [](auto answer) -> Work {
    return {[answer = std::move(answer)](Coordinator& c, TimePoint now, bool) {
              return std::optional<HttpResponse>(answer(c, now));
            },
            0,
            {}};
  };

  if (verb == "join") {
    return by_worker(ParseJoinRequest(request.body), [&](const JoinRequest& m) {
      return at_once([m](Coordinator& c, TimePoint now) { return Answered(c.Join(m, now)); });
    });
  }
  if (verb == "register") {
    return by_worker(ParseRegisterRequest(request.body), [&](const RegisterRequest& m) {
      return at_once([m](Coordinator& c, TimePoint now) { return Answered(c.Register(m, now)); });
    });
  }
  if (verb == "heartbeat") {
    return by_worker(ParseHeartbeatRequest(request.body), [&](const HeartbeatRequest& m) {
      return at_once([m](Coordinator& c, TimePoint now) {
        return HttpResponse{200, ToJsonText(c.Heartbeat(m, now))};
      });
    });
  }
  if (verb == "leave") {
    return by_worker(ParseLeaveRequest(request.body), [&](const LeaveRequest& m) {
      return at_once([m](Coordinator& c, TimePoint now) { return Answered(c.Leave(m, now)); });
    });
  }
  if (verb == "report") {
    return by_worker(ParseReportRequest(request.body), [&](const ReportRequest& m) {
      return Work{[m, taken = false](Coordinator& c, TimePoint now,
                                     bool last) mutable -> std::optional<HttpResponse> {
                    if (!taken) {
                      if (const Status status = c.Report(m, now); !status.ok())
                        return ErrorResponse(status.error());
                    }
                    taken = true;
                    const std::optional<RoundReply> reply = c.ReplyTo(m.report, last);
                    if (!reply) return std::nullopt;
                    return HttpResponse{200, ToJsonText(*reply)};
                  },
                  kReportSeconds,
                  {}};
    });
  }
  if (verb == "generation") {
    return by_worker(ParseGenerationRequest(request.body), [&](const GenerationRequest& m) {
      return Work{[m](Coordinator& c, TimePoint now, bool last) -> std::optional<HttpResponse> {
                    std::optional<GenerationReply> reply = c.PollGeneration(m, now);
                    if (!reply && last) reply.emplace();
                    if (!reply) return std::nullopt;
                    return HttpResponse{200, ToJsonText(*reply)};
                  },
                  m.wait_seconds,
                  {}};
    });
  }
  if (verb == "store/set") {
    return with(ParseStoreSetRequest(request.body), [&](const StoreSetRequest& m) {
      return at_once([m](Coordinator& c, TimePoint) { return Answered(c.StoreSet(m)); });
    });
  }
  if (verb == "store/read") {
    return with(ParseStoreReadRequest(request.body), [&](const StoreReadRequest& m) {
      return Work{[m](Coordinator& c, TimePoint, bool last) -> std::optional<HttpResponse> {
                    const auto reply = c.StoreRead(m, last);
                    if (!reply.ok()) return ErrorResponse(reply.error());
                    if (!reply->has_value()) return std::nullopt;
                    return HttpResponse{200, ToJsonText(**reply)};
                  },
                  m.wait_seconds,
                  {}};
    });
  }
  return {{}, 0, StatusResponse(404, "unknown request: " + verb)};
}

void HostedJob::Serve(const std::string& verb, const HttpRequest& request,
                      const std::optional<WorkerPlace>& place, Respond respond) {
  Work work = Understand(verb, request, place);  // the parsing needs no lock
  if (work.refused) return respond(std::move(*work.refused));
  Answers answers;
  {
    const std::lock_guard lock(mutex_);
    const TimePoint now = clock_.Now();
    std::optional<HttpResponse> response;
    if (closed_) {
      response = ErrorResponse(TransientError(*closed_));
    } else {
      const bool may_wait = work.wait_seconds > 0 && parked_.size() < kMaxParked;
      response = work.attempt(coordinator_, now, !may_wait);
    }
    if (response) {
      answers.push_back({std::move(respond), std::move(*response)});
    } else {
      const double wait = std::min(work.wait_seconds, kMaxPollSeconds);
      parked_.push_back({now + FromSeconds(wait), std::move(work.attempt), std::move(respond)});
    }
    Settle(now, answers);
  }
  Send(answers);
}

void HostedJob::Settle(TimePoint now, Answers& answers) {
  // What one poll brings about may be what an earlier one waits for.
  while (settled_revision_ != coordinator_.revision()) {
    settled_revision_ = coordinator_.revision();
    for (auto it = parked_.begin(); it != parked_.end();) {
      std::optional<HttpResponse> response = it->attempt(coordinator_, now, false);
      if (response) answers.push_back({std::move(it->respond), std::move(*response)});
      it = response ? parked_.erase(it) : std::next(it);
    }
  }
  std::vector<Event> events = coordinator_.DrainEvents();
  if (events.empty()) return;
  for (Event& event : events) {
    event.unix_seconds = clock_.UnixSeconds();
    if (auto* committed = std::get_if<RoundCommittedEvent>(&event.data)) {
      committed->record.unix_seconds = event.unix_seconds;
    }
    if (sink_) {
      sink_(event);
    } else {
      events_.push_back(std::move(event));
    }
  }
  events_ready_.notify_all();
}

void HostedJob::Tick() {
  Answers answers;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    const TimePoint now = clock_.Now();
    coordinator_.Tick(now);
    Settle(now, answers);
    for (auto it = parked_.begin(); it != parked_.end();) {
      if (now < it->until) {
        ++it;
        continue;
      }
      std::optional<HttpResponse> response = it->attempt(coordinator_, now, true);
      if (response) answers.push_back({std::move(it->respond), std::move(*response)});
      it = parked_.erase(it);
    }
    Settle(now, answers);
  }
  Send(answers);
}

void HostedJob::With(const std::function<void(Coordinator&, TimePoint)>& use) {
  Answers answers;
  {
    const std::lock_guard lock(mutex_);
    const TimePoint now = clock_.Now();
    use(coordinator_, now);
    Settle(now, answers);
  }
  Send(answers);
}

std::vector<Event> HostedJob::WaitForEvents(Duration timeout) {
  std::unique_lock lock(mutex_);
  const auto ready = [&] { return !events_.empty() || closed_; };
  // A wait of no time is still a system call, ten times a second for each job.
  if (timeout > Duration::zero()) events_ready_.wait_for(lock, timeout, ready);
  return std::exchange(events_, {});
}

void HostedJob::SetEventSink(std::function<void(const Event&)> sink) {
  const std::lock_guard lock(mutex_);
  sink_ = std::move(sink);
}

void HostedJob::Close(const std::string& reason) {
  Answers answers;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = reason;
    for (Parked& p : parked_) {
      answers.push_back({std::move(p.respond), ErrorResponse(TransientError(reason))});
    }
    parked_.clear();
    events_ready_.notify_all();
  }
  Send(answers);
}

void HostedJob::Send(Answers& answers) {
  for (Answer& a : answers) a.respond(std::move(a.response));
}

}  // namespace longstride
