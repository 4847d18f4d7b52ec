#include "tests/bench/controller/simulated_workers.h"

#include <algorithm>

#include "core/protocol/json.h"
#include "tests/controller/coordinator/samples.h"

namespace longstride {
namespace {

using std::chrono::milliseconds;
using Steady = std::chrono::steady_clock;

constexpr int kMostJoining = 32;
constexpr double kPollSeconds = 20;
constexpr milliseconds kPeriod(1000);  // of a round
constexpr milliseconds kStep(2);

}  // namespace

SimulatedWorkers::SimulatedWorkers(const JobFleet& fleet, uint16_t port, int jobs,
                                   int workers_per_job)
    : fleet_(fleet),
      per_job_(workers_per_job),
      swarm_(port, jobs * workers_per_job),
      workers_(static_cast<size_t>(jobs * workers_per_job)),
      jobs_(static_cast<size_t>(jobs)) {
  swarm_.OnAnswer([this](int worker, bool ok, std::string_view body) { Take(worker, ok, body); });
  for (int i = jobs * workers_per_job; i-- > 0;) to_join_.push_back(i);
}

void SimulatedWorkers::Post(int worker, const std::string& verb, const std::string& body,
                            Time due) {
  const std::string job = JobFleet::NameOf(worker / per_job_);
  swarm_.Ask(worker,
             "POST /v1/jobs/" + std::string(JobFleet::kNamespace) + "/" + job + "/" + verb +
                 " HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " +
                 workers_[static_cast<size_t>(worker)].token +
                 "\r\nContent-Type: application/json\r\nContent-Length: " +
                 std::to_string(body.size()) + "\r\n\r\n" + body,
             due);
}

void SimulatedWorkers::Join(int worker) {
  Worker& own = workers_[static_cast<size_t>(worker)];
  if (own.token.empty()) {
    own.token = fleet_.TokenOf(worker / per_job_, worker % per_job_);
    own.id = {"worker", worker % per_job_, fleet_.UidOf(worker / per_job_, worker % per_job_)};
  }
  own.asked = Worker::Asked::kJoin;
  ++joining_;
  Post(worker, "join", ToJsonText(MakeJoin(own.id.index, own.id.group, own.id.incarnation)),
       Steady::now());
}

void SimulatedWorkers::PollGeneration(int worker) {
  Worker& own = workers_[static_cast<size_t>(worker)];
  own.asked = Worker::Asked::kGeneration;
  GenerationRequest request;
  request.worker = own.id;
  request.wait_seconds = kPollSeconds;
  Post(worker, "generation", ToJsonText(request), Steady::now());
}

void SimulatedWorkers::ReportRound(int job) {
  Job& own = jobs_[static_cast<size_t>(job)];
  ++own.round;
  for (int i = job * per_job_; i < (job + 1) * per_job_; ++i) {
    Worker& worker = workers_[static_cast<size_t>(i)];
    worker.asked = Worker::Asked::kReport;
    const Generation& generation = worker.generation;
    Post(i, "report",
         ToJsonText(ReportRequest{worker.id,
                                  MakeReport(generation.id, own.round, generation.rank, per_job_)}),
         own.next);
  }
  own.next += kPeriod;
}

void SimulatedWorkers::Take(int worker, bool ok, std::string_view body) {
  Worker& own = workers_[static_cast<size_t>(worker)];
  const Worker::Asked asked = std::exchange(own.asked, Worker::Asked::kNothing);
  if (asked == Worker::Asked::kJoin) --joining_;
  if (!ok) {
    ++refused_;
    last_refusal_ = body;
  }
  switch (asked) {
    case Worker::Asked::kJoin:
      if (!ok) return to_join_.push_back(worker);
      return PollGeneration(worker);
    case Worker::Asked::kGeneration:
      return ok ? TakeGeneration(worker, body) : PollGeneration(worker);
    case Worker::Asked::kReport:
    case Worker::Asked::kNothing:
      return;
  }
}

void SimulatedWorkers::TakeGeneration(int worker, std::string_view body) {
  Worker& own = workers_[static_cast<size_t>(worker)];
  const auto reply = ParseGenerationReply(body);
  if (!reply.ok() || !reply->generation) return PollGeneration(worker);
  own.generation = *reply->generation;
  Job& job = jobs_[static_cast<size_t>(worker / per_job_)];
  if (std::exchange(own.formed, true) || ++job.formed < per_job_) return;
  ++training_;
  job.next = Steady::now();
}

void SimulatedWorkers::RunUntil(Time until) {
  for (Time now = Steady::now(); now < until; now = Steady::now()) {
    while (!to_join_.empty() && joining_ < kMostJoining) {
      const int worker = to_join_.back();
      to_join_.pop_back();
      Join(worker);
    }
    for (size_t job = 0; job < jobs_.size(); ++job) {
      if (jobs_[job].formed == per_job_ && jobs_[job].next <= now)
        ReportRound(static_cast<int>(job));
    }
    swarm_.RunUntil(std::min(until, now + kStep));
  }
}

}  // namespace longstride
