#include "controller/http/coordinator_service.h"

#include "controller/http/errors.h"
#include "controller/http/hosted_job.h"

namespace longstride {
namespace {

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

HttpResponse Refusal(const Verdict& verdict) {
  switch (verdict.kind) {
    case Verdict::Kind::kUnavailable:
      return ErrorResponse(TransientError(verdict.reason));
    case Verdict::Kind::kForbidden:
      return StatusResponse(403, verdict.reason, verdict.code);
    default:
      return StatusResponse(401, verdict.reason, verdict.code);
  }
}

}  // namespace

Status CoordinatorService::AddJob(const JobKey& key, std::shared_ptr<Authenticator> authenticator,
                                  std::string job_json, CoordinatorOptions options) {
  const std::lock_guard lock(mutex_);
  if (jobs_.contains(key))
    return UserError("job " + key.namespace_ + "/" + key.name + " is hosted already");
  jobs_[key] = std::make_shared<HostedJob>(std::move(authenticator), std::move(job_json),
                                           std::move(options), clock_);
  return {};
}

Status CoordinatorService::AddJob(const JobKey& key, std::string token, std::string job_json,
                                  CoordinatorOptions options) {
  if (token.empty()) return UserError("a hosted job needs a token");
  return AddJob(key, std::make_shared<StaticTokenAuthenticator>(std::move(token)),
                std::move(job_json), std::move(options));
}

void CoordinatorService::RemoveJob(const JobKey& key) {
  Job job;
  {
    const std::lock_guard lock(mutex_);
    const auto it = jobs_.find(key);
    if (it == jobs_.end()) return;
    job = std::move(it->second);
    jobs_.erase(it);
  }
  job->Close("the job is not hosted here any more");
}

void CoordinatorService::StandBy(int64_t term) {
  const std::lock_guard lock(mutex_);
  standing_by_ = term;
}

void CoordinatorService::Lead() {
  const std::lock_guard lock(mutex_);
  standing_by_.reset();
}

void CoordinatorService::Handle(HttpRequest request, Respond respond) {
  if (request.path == "/healthz") return respond({200, "ok\n", "text/plain"});
  respond = [answers = answers_, respond = std::move(respond)](HttpResponse response) {
    {
      const std::lock_guard lock(answers->mutex);
      ++answers->by_status[response.status];
    }
    respond(std::move(response));
  };
  const std::optional<Route> route = ParsePath(request.path);
  Job job;
  std::optional<HttpResponse> refused;
  {
    const std::lock_guard lock(mutex_);
    const auto it = route ? jobs_.find(route->key) : jobs_.end();
    if (it != jobs_.end()) job = it->second;
    if (closed_) {
      refused = ErrorResponse(TransientError("the coordinator is stopping"));
    } else if (standing_by_) {
      refused = MisdirectedResponse(*standing_by_);
    } else if (!route) {
      refused = StatusResponse(404, "no such path: " + request.path);
    } else if (!job) {
      // It may be hosted soon: a new leader takes its jobs over one by one.
      refused = StatusResponse(
          404, "no job " + route->key.namespace_ + "/" + route->key.name + " is hosted here",
          ErrorCode::kTransient);
    }
  }
  if (refused) return respond(std::move(*refused));
  const std::string token = BearerToken(request.authorization);
  job->authenticator().Authenticate(route->key, token,
                                    [job, verb = route->verb, request = std::move(request),
                                     respond = std::move(respond)](const Verdict& verdict) {
                                      if (verdict.kind != Verdict::Kind::kAllowed)
                                        return respond(Refusal(verdict));
                                      job->Serve(verb, request, verdict.place, respond);
                                    });
}

void CoordinatorService::Tick() {
  for (const Job& job : All()) job->Tick();
}

bool CoordinatorService::WithJob(const JobKey& key,
                                 const std::function<void(Coordinator&, TimePoint)>& use) {
  const Job job = Find(key);
  if (job) job->With(use);
  return job != nullptr;
}

std::vector<Event> CoordinatorService::WaitForEvents(const JobKey& key, Duration timeout) {
  const Job job = Find(key);
  return job ? job->WaitForEvents(timeout) : std::vector<Event>();
}

bool CoordinatorService::SetEventSink(const JobKey& key, std::function<void(const Event&)> sink) {
  const Job job = Find(key);
  if (job) job->SetEventSink(std::move(sink));
  return job != nullptr;
}

void CoordinatorService::Close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  for (const Job& job : All()) job->Close("the coordinator is stopping");
}

std::map<int, int64_t> CoordinatorService::answers() const {
  const std::lock_guard lock(answers_->mutex);
  return answers_->by_status;
}

CoordinatorService::Job CoordinatorService::Find(const JobKey& key) const {
  const std::lock_guard lock(mutex_);
  const auto it = jobs_.find(key);
  return it == jobs_.end() ? nullptr : it->second;
}

std::vector<CoordinatorService::Job> CoordinatorService::All() const {
  const std::lock_guard lock(mutex_);
  std::vector<Job> jobs;
  for (const auto& [key, job] : jobs_) jobs.push_back(job);
  return jobs;
}

}  // namespace longstride
