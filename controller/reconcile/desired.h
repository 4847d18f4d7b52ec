// What is to be done about one job now: the outcome of a decision, as values. Whoever carries it
// out needs no knowledge of the rules.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "controller/reconcile/job_status.h"
#include "core/spec/places.h"

namespace longstride {

struct PodToCreate {
  std::string name;
  WorkerPlace place;
  int64_t incarnation = 0;
  nlohmann::json body;
};

struct PodToDelete {
  std::string name;
  std::string uid;  // precondition
  WorkerPlace place;
  int64_t incarnation = 0;
  std::string why;  // for the log
};

struct PodToPatch {
  std::string name;
  nlohmann::json patch;  // JSON merge patch (RFC 7386)
};

struct EventToWrite {
  bool warning = false;
  std::string reason;
  std::string message;
};

// A worker's pod that has ended, told to the coordinator so that it need not wait for silence.
struct WorkerExit {
  WorkerPlace place;
  std::string pod_uid;
  int exit_code = 0;
  std::string detail;
  bool had_joined = true;
  bool out_of_memory = false;
};

struct CoordinatorOrders {
  // kKeep leaves things as they are, kRelease ends the hosting. kHost begins it where there is
  // none.
  enum class Hosting { kKeep, kHost, kRelease } hosting = Hosting::kKeep;
  std::optional<int64_t> replicas;
  std::string stop;  // the reason, when members are to stop at the next boundary
  std::vector<WorkerExit> exits;
};

// To be carried out in this order.
struct Desired {
  std::vector<PodToPatch> patch;
  CoordinatorOrders coordinator;
  nlohmann::json network_policy;  // whole, for server-side apply; null = it is there
  std::vector<PodToDelete> remove;
  std::vector<PodToCreate> create;
  std::vector<EventToWrite> events;
  std::optional<JobStatus> status;  // nullopt: not ours to write
  bool delete_job = false;          // its time to live is over
  // The job ends with this look, or gives up an attempt to start: its workers are told, and pods
  // deleted, once the status that says so stands.
  bool status_first = false;
  double requeue_at = 0;  // Unix seconds at which time alone changes the decision; 0 = never
};

}  // namespace longstride
