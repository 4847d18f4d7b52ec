#include <cstdlib>
#include <filesystem>

#include "controller/kube/cluster_config.h"
#include "core/base/read_file.h"

namespace longstride::kube {
namespace {

std::string OrEnvironment(const std::string& value, const char* name) {
  if (!value.empty()) return value;
  const char* found = std::getenv(name);
  return found ? found : "";
}

bool HasKubeconfig() {
  if (!OrEnvironment("", "KUBECONFIG").empty()) return true;
  std::error_code error;
  return std::filesystem::exists(OrEnvironment("", "HOME") + "/.kube/config", error);
}

}  // namespace

Result<ClusterConfig> LoadInCluster(const InClusterOptions& options, const Clock& clock) {
  std::string host = OrEnvironment(options.host, "KUBERNETES_SERVICE_HOST");
  const std::string port = OrEnvironment(options.port, "KUBERNETES_SERVICE_PORT");
  if (host.empty() || port.empty()) {
    return UserError(
        "not in a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set; name a "
        "kubeconfig");
  }
  // cpprestsdk takes no IPv6 literal; the certificate is good for the service's name, too.
  if (host.find(':') != std::string::npos) host = "kubernetes.default.svc";

  ClusterConfig config;
  config.server = "https://" + host + ":" + port;
  TlsOptions tls;
  tls.ca_file = options.folder + "/ca.crt";
  LONGSTRIDE_ASSIGN_OR_RETURN(config.tls, TlsSource::Make(std::move(tls), clock));
  config.credentials = MakeTokenFile(options.folder + "/token", clock);
  auto namespace_ = ReadSmallFile(options.folder + "/namespace");
  if (namespace_.ok()) config.default_namespace = *namespace_;
  return config;
}

Result<ClusterConfig> LoadClusterConfig(const KubeconfigOptions& options, const Clock& clock) {
  const bool named = !options.paths.empty() || !options.context.empty();
  if (!named && std::getenv("KUBERNETES_SERVICE_HOST")) return LoadInCluster({}, clock);
  return LoadKubeconfig(options, clock);
}

Result<ClusterConfig> LoadUserClusterConfig(const KubeconfigOptions& options, const Clock& clock) {
  return HasKubeconfig() ? LoadKubeconfig(options, clock) : LoadClusterConfig(options, clock);
}

}  // namespace longstride::kube
