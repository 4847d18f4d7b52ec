// longstride-controller: the operator.
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <random>

#include "controller/app/certificate_keeper.h"
#include "controller/app/controller.h"
#include "controller/app/coordinator_names.h"
#include "controller/app/options.h"
#include "controller/http/coordinator_server.h"
#include "controller/kube/cluster_config.h"
#include "controller/kube/cpprest_transport.h"
#include "core/base/format.h"
#include "core/base/log.h"
#include "core/base/open_files.h"

namespace longstride {
namespace {

// Signals that end the program wait in the main thread; call before any other thread is started.
sigset_t TakeSignals() {
  signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

std::string UniqueIdentity(const std::string& pod) {
  std::random_device random;
  return Format("%s_%08x-%08x", pod.c_str(), random(), random());
}

Status Run(const ControllerOptions& o, const sigset_t& signals) {
  const SystemClock clock;
  LONGSTRIDE_ASSIGN_OR_RETURN(const CoordinatorNames names, NamesOfCoordinator(o));
  kube::KubeconfigOptions kubeconfig;
  if (!o.kubeconfig.empty()) kubeconfig.paths = {o.kubeconfig};
  kubeconfig.context = o.context;
  LONGSTRIDE_ASSIGN_OR_RETURN(kube::ClusterConfig cluster,
                              kube::LoadClusterConfig(kubeconfig, clock));
  LONGSTRIDE_ASSIGN_OR_RETURN(auto transport,
                              kube::MakeCpprestTransport({cluster.server, cluster.tls}));
  kube::ClientOptions client_options;
  client_options.requests_per_second = o.api_requests_per_second;
  client_options.burst = o.api_burst;
  kube::Client client(std::move(transport), cluster.credentials, client_options, clock);

  CertificateKeeperOptions certificates;
  certificates.secret = {o.pod_namespace, o.ca_secret};
  certificates.dns_names = names.dns_names;
  certificates.addresses = names.addresses;
  LONGSTRIDE_ASSIGN_OR_RETURN(const auto keeper,
                              CertificateKeeper::Start(certificates, client, clock, {}));
  HttpServerOptions coordinators;
  coordinators.address = "0.0.0.0";
  coordinators.port = static_cast<uint16_t>(o.coordinator_port);
  coordinators.certificate = keeper->certificate();
  LONGSTRIDE_ASSIGN_OR_RETURN(const auto server, CoordinatorServer::Start(coordinators, clock));

  ControllerConfig config;
  config.namespace_ = o.watch_namespace;
  config.leadership.threads = o.threads;
  config.leadership.reconciler.defaults = {o.coordinator_url, o.worker_image, "", o.metrics_from,
                                           LONGSTRIDE_VERSION};
  config.leadership.reconciler.ca_bundle = [&keeper] { return keeper->bundle(); };
  config.lease.key = {o.pod_namespace, o.lease};
  config.lease.identity = UniqueIdentity(o.pod_name);
  config.lease.lease_duration = FromSeconds(o.lease_seconds);
  config.lease.renew_deadline = FromSeconds(o.renew_seconds);
  config.lease.retry_period = FromSeconds(o.retry_seconds);
  config.service = o.coordinator_service;
  config.address = o.pod_ip;
  config.port = o.coordinator_port;
  config.stuck = [] {
    LogError("controller", "the threads of a leadership that was lost do not end: exiting");
    std::_Exit(ExitCodeOf(ErrorCode::kBug));
  };
  Controller controller(config, client, server->service(), clock);
  keeper->OnChange([&controller] { controller.WakeAll(); });
  const auto health = MakeHealthHandler(controller);
  HttpServerOptions http;
  http.address = "0.0.0.0";
  http.port = static_cast<uint16_t>(o.metrics_port);
  LONGSTRIDE_ASSIGN_OR_RETURN(const auto probes, HttpServer::Start(http, *health));
  int caught = 0;
  sigwait(&signals, &caught);
  LogInfo("controller", Format("signal %d: stopping", caught));
  keeper->OnChange(nullptr);
  controller.Stop();
  server->service().Close();
  probes->Stop();
  return {};
}

}  // namespace
}  // namespace longstride

int main(int argc, char** argv) {
  using namespace longstride;  // NOLINT: the program's own namespace
  const auto options = ParseControllerOptions(argc, argv);
  if (const int* code = std::get_if<int>(&options)) return *code;
  const sigset_t signals = TakeSignals();
  RaiseOpenFileLimit();
  const Status status = Run(std::get<ControllerOptions>(options), signals);
  if (status.ok()) return 0;
  std::fprintf(stderr, "longstride-controller: %s\n", status.error().message.c_str());
  return ExitCodeOf(status.error().code);
}
