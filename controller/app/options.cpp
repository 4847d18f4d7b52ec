#include "controller/app/options.h"

#include <CLI/CLI.hpp>

#include "controller/reconcile/network_peers.h"
#include "core/base/result.h"

namespace longstride {
namespace {

// A pause between two tries may be longer by a fifth, as in client-go.
constexpr double kLongestRetry = 1.2;

void CheckLease(const ControllerOptions& o) {
  if (o.renew_seconds >= o.lease_seconds)
    throw CLI::ValidationError("--renew-seconds", "must be less than --lease-seconds");
  if (kLongestRetry * o.retry_seconds >= o.renew_seconds) {
    throw CLI::ValidationError(
        "--retry-seconds",
        "1.2 times it must be less than --renew-seconds, or a leader is none "
        "any more before it tries again");
  }
}

}  // namespace

std::variant<ControllerOptions, int> ParseControllerOptions(int argc, char** argv) {
  ControllerOptions o;
  std::string metrics_from = "[]";
  CLI::App app(
      "The operator: watches TrainingJobs, makes their workers' pods, hosts their coordinators and "
      "tells the truth about them in status. Run two; one leads.",
      "longstride-controller");
  app.set_version_flag("--version", std::string("longstride-controller ") + LONGSTRIDE_VERSION);
  const auto add = [&](const char* flag, auto& value, const char* text, const char* type) {
    return app.add_option(flag, value, text)->type_name(type)->capture_default_str();
  };
  add("--watch-namespace", o.watch_namespace, "only the jobs of this namespace; default: of all",
      "NAME");
  add("--kubeconfig", o.kubeconfig, "default: the pod's service account, else $KUBECONFIG", "FILE");
  add("--context", o.context, "of the kubeconfig; default: its current one", "NAME");
  add("--pod-name", o.pod_name, "of this replica, for the Lease and events", "NAME")
      ->envname("POD_NAME");
  add("--pod-namespace", o.pod_namespace, "where the Lease, the Service and the Secret are", "NAME")
      ->envname("POD_NAMESPACE");
  add("--pod-ip", o.pod_ip,
      "address that the coordinators' Service leads to while this replica leads; default: none, "
      "its EndpointSlice is left alone",
      "IP")
      ->envname("POD_IP");
  add("--coordinator-service", o.coordinator_service, "the coordinators' Service", "NAME");
  add("--coordinator-url", o.coordinator_url,
      "where workers find it, also named by its certificate; default: "
      "https://SERVICE.POD-NAMESPACE.svc:PORT",
      "URL");
  add("--coordinator-port", o.coordinator_port, "where coordinators listen", "PORT")
      ->check(CLI::Range(1, 65535));
  add("--ca-secret", o.ca_secret, "the Secret that holds the coordinators' authority", "NAME");
  add("--metrics-port", o.metrics_port, "where /metrics, /healthz and /readyz are served", "PORT")
      ->check(CLI::Range(1, 65535));
  add("--worker-image", o.worker_image, "of workers whose template names none", "IMAGE");
  add("--metrics-from", metrics_from,
      "NetworkPolicy peers that may reach workers' metrics port, as a JSON list; none: anybody",
      "PEERS");
  add("--threads", o.threads, "that look after jobs", "N")->check(CLI::Range(1, 64));
  add("--api-requests-per-second", o.api_requests_per_second, "to the API server, in the long run",
      "N")
      ->check(CLI::PositiveNumber);
  add("--api-burst", o.api_burst, "requests to the API server at once", "N")
      ->check(CLI::Range(1, 100000));
  add("--lease", o.lease, "by which replicas elect their leader", "NAME");
  add("--lease-seconds", o.lease_seconds, "after which a silent leader is replaced", "S")
      ->check(CLI::PositiveNumber);
  add("--renew-seconds", o.renew_seconds, "after which a leader that cannot renew stops leading",
      "S")
      ->check(CLI::PositiveNumber);
  add("--retry-seconds", o.retry_seconds, "between two tries for the lease", "S")
      ->check(CLI::PositiveNumber);
  app.footer(
      "SIGTERM or SIGINT: stops leading, releases the Lease and exits with 0; workers train on.\n\n"
      "Examples:\n"
      "  longstride-controller --worker-image example.org/longstride-worker:0.1.0   # in a pod\n"
      "  longstride-controller --kubeconfig ~/.kube/config --context kind --watch-namespace lab "
      "\\\n"
      "      --coordinator-url https://192.0.2.7:8443                               # beside a "
      "cluster");
  try {
    app.parse(argc, argv);
    CheckLease(o);
    Result<nlohmann::json> peers = ParseNetworkPeers(metrics_from);
    if (!peers.ok()) throw CLI::ValidationError("--metrics-from", peers.error().message);
    o.metrics_from = std::move(*peers);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : ExitCodeOf(ErrorCode::kUser);
  }
  if (o.coordinator_url.empty()) {
    o.coordinator_url = "https://" + o.coordinator_service + "." + o.pod_namespace +
                        ".svc:" + std::to_string(o.coordinator_port);
  }
  return o;
}

}  // namespace longstride
