// The workers of many jobs, as their coordinators see them: they join with their pods' tokens, and
// then each reports one round a second, over a connection of its own. In one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "core/protocol/messages.h"
#include "tests/bench/controller/job_fleet.h"
#include "tests/bench/coordinator/tls_swarm.h"

namespace longstride {

class SimulatedWorkers {
 public:
  using Time = TlsSwarm::Time;

  SimulatedWorkers(const JobFleet& fleet, uint16_t port, int jobs, int workers_per_job);

  // Joins and reports until `until`. Workers join a few at a time, as the controller reviews no
  // more tokens at once, and report from the moment that their generation is formed.
  void RunUntil(Time until);

  // Jobs whose workers train.
  [[nodiscard]] int training() const { return training_; }
  // Seconds from when a message was due to its answer, of all since the last call.
  [[nodiscard]] std::vector<double> TakeDelays() { return swarm_.TakeDelays(); }
  [[nodiscard]] int64_t refused() const { return refused_; }
  [[nodiscard]] const std::string& last_refusal() const { return last_refusal_; }

 private:
  struct Worker {
    enum class Asked { kNothing, kJoin, kGeneration, kReport };
    Asked asked = Asked::kNothing;
    WorkerId id;
    std::string token;
    bool formed = false;
    Generation generation;
  };
  struct Job {
    int formed = 0;  // workers that know their generation
    int64_t round = 0;
    Time next;  // round is due
  };

  void Join(int worker);
  void PollGeneration(int worker);
  void ReportRound(int job);
  void Take(int worker, bool ok, std::string_view body);
  void TakeGeneration(int worker, std::string_view body);
  void Post(int worker, const std::string& verb, const std::string& body, Time due);

  const JobFleet& fleet_;
  const int per_job_;
  TlsSwarm swarm_;
  std::vector<Worker> workers_;
  std::vector<Job> jobs_;
  std::vector<int> to_join_;
  int joining_ = 0;
  int training_ = 0;
  int64_t refused_ = 0;
  std::string last_refusal_;
};

}  // namespace longstride
