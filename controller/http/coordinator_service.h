// The HTTP face of the coordinators of one or many jobs: routes, identity, leadership. Paths,
// bodies and statuses are those of docs/protocol.md. No sockets and no threads: requests come in
// through HttpHandler, time through Tick.
//
// Thread-safe; each job has a lock of its own, and answers are sent outside it. A long poll holds
// no thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "controller/coordinator/coordinator.h"
#include "controller/http/authenticator.h"
#include "controller/http/http_handler.h"
#include "controller/http/job_key.h"
#include "core/base/clock.h"
#include "core/base/result.h"

namespace longstride {

class HostedJob;

class CoordinatorService final : public HttpHandler {
 public:
  // Leads from the start. `clock` must outlive the service and be thread-safe if the service is
  // used from several threads.
  explicit CoordinatorService(const Clock& clock) : clock_(clock) {}
  ~CoordinatorService() override { Close(); }

  // Hosts a job. `job_json`: the defaulted TrainingJob as workers fetch it. kUser when the key is
  // taken.
  Status AddJob(const JobKey& key, std::shared_ptr<Authenticator> authenticator,
                std::string job_json, CoordinatorOptions options);
  // With one token for all workers, which must not be empty.
  Status AddJob(const JobKey& key, std::string token, std::string job_json,
                CoordinatorOptions options);
  // Parked polls of the job are answered with 503.
  void RemoveJob(const JobKey& key);

  // Another process leads, or none yet: until Lead, workers' requests are answered with 421 and the
  // newest leadership term known of. Jobs may be added meanwhile: call Lead when all are.
  void StandBy(int64_t term);
  void Lead();

  // A job that is not hosted is a transient error, as it may be soon.
  void Handle(HttpRequest request, Respond respond) override;
  // Lets time act in every job and ends polls that have waited long enough.
  void Tick();

  // Calls `use` with the job's coordinator while nothing else does, then answers what that made
  // possible. `use` must not call this service. False if there is no such job.
  bool WithJob(const JobKey& key, const std::function<void(Coordinator&, TimePoint)>& use);
  // The job's events since the last call, stamped with the time; waits up to `timeout` for the
  // first.
  [[nodiscard]] std::vector<Event> WaitForEvents(const JobKey& key, Duration timeout);
  // From now on the job's events go to `sink`, in order, each before any answer that tells a worker
  // of it: what is put on record there is never known to workers alone. `sink` must not call this
  // service. False if there is no such job.
  bool SetEventSink(const JobKey& key, std::function<void(const Event&)> sink);

  // Answers every parked poll with 503 and refuses all later requests. Idempotent.
  void Close();

  // Requests for jobs that were answered so far, by HTTP status.
  [[nodiscard]] std::map<int, int64_t> answers() const;

 private:
  // Of its own, as answers may come after the service has gone.
  struct Answers {
    std::mutex mutex;
    std::map<int, int64_t> by_status;
  };
  using Job = std::shared_ptr<HostedJob>;
  [[nodiscard]] Job Find(const JobKey& key) const;  // null if there is none
  [[nodiscard]] std::vector<Job> All() const;

  const Clock& clock_;
  mutable std::mutex mutex_;
  std::map<JobKey, Job> jobs_;
  std::optional<int64_t> standing_by_;  // the term
  bool closed_ = false;
  const std::shared_ptr<Answers> answers_ = std::make_shared<Answers>();
};

}  // namespace longstride
