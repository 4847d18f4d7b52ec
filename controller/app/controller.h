// One replica of the operator: caches, leader election, what the leader does, and its health.
// Everything it needs from outside is passed in, so that a test runs it against a server of its
// own.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "controller/app/identities.h"
#include "controller/app/leadership.h"
#include "controller/http/http_handler.h"
#include "controller/kube/leader_elector.h"
#include "controller/kube/reflector.h"
#include "core/base/clock.h"

namespace longstride {

struct ControllerConfig {
  std::string namespace_;  // whose jobs; "" = every namespace's
  LeadershipOptions leadership;
  kube::LeaseOptions lease;
  // The coordinators' Service, and where this replica is reached; no address: left alone.
  std::string service;
  std::string address;
  int port = 0;
  std::function<void()> stuck;  // leadership was lost and its threads do not end
};

class Controller {
 public:
  // `client`, `service` and `clock` must outlive it. Begins at once.
  Controller(ControllerConfig config, kube::Client& client, CoordinatorService& service,
             const Clock& clock);
  ~Controller() { Stop(); }

  // Ends leadership, releases the lease, gives events a moment to be written. Idempotent.
  void Stop();

  // Its caches hold what the API server does.
  [[nodiscard]] bool ready() const;
  [[nodiscard]] bool leading() const { return elector_ && elector_->leading(); }
  [[nodiscard]] std::string Metrics() const;
  // Looks at every job again: the CA bundle has changed.
  void WakeAll();

 private:
  void Lead(int64_t term, const std::stop_token& stop);
  void PublishAddress(const std::stop_token& stop);
  void Wake(const kube::ObjectKey& key);

  const ControllerConfig config_;
  kube::Client& client_;
  CoordinatorService& service_;
  const Clock& clock_;
  kube::Cache jobs_;
  kube::Cache pods_;
  PodIndex pod_index_;
  std::shared_ptr<Authenticator> authenticator_;
  std::unique_ptr<ApiTokenReviewer> reviewer_;  // answers all before the authenticator goes
  kube::EventRecorder recorder_;
  mutable std::mutex mutex_;
  Leadership* leadership_ = nullptr;  // while we lead
  std::unique_ptr<kube::Reflector> job_reflector_;
  std::unique_ptr<kube::Reflector> pod_reflector_;
  std::unique_ptr<kube::LeaderElector> elector_;
};

// /healthz, /readyz and /metrics of `controller`, which must outlive the handler.
[[nodiscard]] std::unique_ptr<HttpHandler> MakeHealthHandler(const Controller& controller);

}  // namespace longstride
