// The jobs of the load: creates them at the fake API server, and notes when each object that the
// controller makes for one has come to be there. Plays the kubelet, too. Thread-safe.
#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <vector>

#include "tests/controller/kube/fake_api_server.h"

namespace longstride {

class JobFleet {
 public:
  using Steady = std::chrono::steady_clock;

  // Takes over the server's admission and token reviews. `api` must outlive the fleet, and nothing
  // may be created there once the fleet is gone.
  JobFleet(kube::FakeApiServer& api, int jobs, int pods_per_job);

  // Creates job `index`; the controller is told over its watch.
  void Submit(int index);
  // Until the objects of so many jobs are there; false when `limit` passes first.
  [[nodiscard]] bool WaitApplied(int jobs, std::chrono::seconds limit) const;
  // Seconds from a job's creation to that of its last object, of all that have theirs.
  [[nodiscard]] std::vector<double> Delays() const;

  // Every pod of job `index` is Running and Ready.
  void Run(int index);
  [[nodiscard]] static std::string NameOf(int index) { return "load-" + std::to_string(index); }
  // What worker `worker` of job `index` shows, as its pod's projected token.
  [[nodiscard]] std::string TokenOf(int index, int worker) const;
  // The UID of its pod.
  [[nodiscard]] std::string UidOf(int index, int worker) const;

  static constexpr const char* kNamespace = "load";

 private:
  struct Job {
    Steady::time_point submitted;
    Steady::time_point last;
    int objects = 0;
  };

  void Note(const std::string& plural, const kube::Json& object);

  kube::FakeApiServer& api_;
  const int pods_per_job_;
  mutable std::mutex mutex_;
  std::vector<Job> jobs_;
  int applied_ = 0;
};

}  // namespace longstride
