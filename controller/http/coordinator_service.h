// The HTTP face of the coordinators of one or many jobs: routes, bearer tokens, long polls, errors.
// Paths, bodies and statuses are those of docs/protocol.md. No sockets and no threads: requests
// come in through HttpHandler, time through Tick.
//
// Thread-safe: one mutex guards all coordinators; answers are sent outside it. A long poll holds no
// thread.
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "controller/coordinator/coordinator.h"
#include "controller/http/http_handler.h"
#include "core/base/clock.h"
#include "core/base/result.h"

namespace longstride {

// Names a hosted job; its path is /v1/jobs/{namespace}/{name}.
struct JobKey {
  std::string namespace_ = "default";
  std::string name;
  friend auto operator<=>(const JobKey&, const JobKey&) = default;
};

class CoordinatorService final : public HttpHandler {
 public:
  // `clock` must outlive the service and be thread-safe if the service is used from several
  // threads.
  explicit CoordinatorService(const Clock& clock) : clock_(clock) {}
  ~CoordinatorService() override { Close(); }

  // Hosts a job. `job_json`: the defaulted TrainingJob as workers fetch it. `token` must not be
  // empty. kUser when the key is taken or the token empty.
  Status AddJob(const JobKey& key, std::string token, std::string job_json,
                CoordinatorOptions options);
  // Parked polls of the job are answered with 503.
  void RemoveJob(const JobKey& key);

  void Handle(HttpRequest request, Respond respond) override;
  // Lets time act in every job and ends polls that have waited long enough.
  void Tick();

  // Calls `use` with the job's coordinator while nothing else does, then answers what that made
  // possible. `use` must not call this service. False if there is no such job.
  bool WithJob(const JobKey& key, const std::function<void(Coordinator&, TimePoint)>& use);
  // The job's events since the last call, stamped with the time; waits up to `timeout` for the
  // first.
  [[nodiscard]] std::vector<Event> WaitForEvents(const JobKey& key, Duration timeout);

  // Answers every parked poll with 503 and refuses all later requests. Idempotent.
  void Close();

 private:
  struct Answer {
    Respond respond;
    HttpResponse response;
  };
  // A long poll: `attempt` gives its answer, or nullopt while there is none and `last` is false.
  struct Parked {
    TimePoint until;
    std::function<std::optional<HttpResponse>(Coordinator&, bool last)> attempt;
    Respond respond;
  };
  struct HostedJob {
    std::string token;
    std::string json;
    Coordinator coordinator;
    std::list<Parked> parked;
    std::vector<Event> events;
  };
  using Answers = std::vector<Answer>;

  // These run under the mutex and add to `answers`, which the caller sends after releasing it.
  void Dispatch(HostedJob& job, const std::string& verb, const HttpRequest& request,
                Respond respond, Answers& answers);
  void Park(HostedJob& job, double wait_seconds, Parked parked);
  void Settle(HostedJob& job, TimePoint now, Answers& answers);
  static void Send(Answers& answers);

  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable events_ready_;
  std::map<JobKey, std::unique_ptr<HostedJob>> jobs_;
  bool closed_ = false;
};

}  // namespace longstride
