// How to reach a cluster and as whom: from a kubeconfig, or from the files that every pod gets.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "controller/kube/credentials.h"
#include "controller/kube/tls_source.h"
#include "core/base/clock.h"
#include "core/base/result.h"

namespace longstride::kube {

struct ClusterConfig {
  std::string server;  // "https://host:port"
  std::shared_ptr<TlsSource> tls;
  std::shared_ptr<Credentials> credentials;
  std::string default_namespace = "default";
};

struct KubeconfigOptions {
  // The files, the first to say something wins, as in $KUBECONFIG. Empty: $KUBECONFIG, else
  // ~/.kube/config.
  std::vector<std::string> paths;
  std::string context;  // "": the files' current-context
};

// Reads a context with its cluster and user: certificates and keys inline (*-data) or in files
// relative to the kubeconfig's own folder, token, tokenFile, tls-server-name, exec plugins.
// insecure-skip-tls-verify is obeyed and warned about. Refused by name, as nothing is better than
// half: proxy-url, auth-provider, user name with password, impersonation. Files are read within
// core/spec's bounds for YAML. kUser with file and field on any fault. `clock` must be thread-safe
// and outlive the result.
[[nodiscard]] Result<ClusterConfig> LoadKubeconfig(const KubeconfigOptions& options,
                                                   const Clock& clock);

struct InClusterOptions {
  std::string folder = "/var/run/secrets/kubernetes.io/serviceaccount";
  std::string host;  // "": $KUBERNETES_SERVICE_HOST
  std::string port;  // "": $KUBERNETES_SERVICE_PORT
};

// The service account of the pod that we run in: its token is read again each minute and on 401,
// its CA bundle each minute. kUser outside of a pod.
[[nodiscard]] Result<ClusterConfig> LoadInCluster(const InClusterOptions& options,
                                                  const Clock& clock);

// In a pod its service account, elsewhere the kubeconfig; a named file or context always wins.
[[nodiscard]] Result<ClusterConfig> LoadClusterConfig(const KubeconfigOptions& options,
                                                      const Clock& clock);

// The same for people's programs, in kubectl's order: the pod's service account only where there is
// no kubeconfig, which is when $KUBECONFIG is unset or empty and ~/.kube/config does not exist.
[[nodiscard]] Result<ClusterConfig> LoadUserClusterConfig(const KubeconfigOptions& options,
                                                          const Clock& clock);

}  // namespace longstride::kube
