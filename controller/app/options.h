// The controller's flags. What differs from replica to replica comes in environment variables, as
// pods get it from the downward API.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <variant>

namespace longstride {

struct ControllerOptions {
  std::string watch_namespace;  // whose jobs; "" = every namespace's
  std::string kubeconfig;
  std::string context;

  std::string pod_name = "longstride-controller";  // of this replica
  std::string pod_namespace = "default";
  std::string pod_ip;  // that the Service leads to when this replica leads

  std::string coordinator_service = "longstride-coordinator";
  std::string coordinator_url;  // "" = https://<service>.<pod_namespace>.svc:<port>
  int coordinator_port = 8443;
  std::string ca_secret = "longstride-ca";
  int metrics_port = 8080;  // /metrics, /healthz, /readyz

  std::string worker_image = "longstride-worker";
  // NetworkPolicy peers that may reach workers' metrics; empty: anybody.
  nlohmann::json metrics_from = nlohmann::json::array();
  int threads = 4;  // that look after jobs
  // Priority and Fairness is what protects the API server; this stops a controller gone wild.
  double api_requests_per_second = 1000;
  double api_burst = 2000;

  std::string lease = "longstride";
  double lease_seconds = 15;
  double renew_seconds = 10;
  double retry_seconds = 2;
};

// The options, or the exit code with which to end: 0 after --help, 2 after a fault that was
// printed.
[[nodiscard]] std::variant<ControllerOptions, int> ParseControllerOptions(int argc, char** argv);

}  // namespace longstride
