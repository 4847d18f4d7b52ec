// Credential plugins of kubeconfig (client.authentication.k8s.io/v1, ExecCredential): a program
// that prints a token or a client certificate. Run by execve without a shell, with a deadline, and
// only again when its credential has expired or was refused.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "controller/kube/credentials.h"
#include "controller/kube/tls_source.h"

namespace longstride::kube {

struct ExecPlugin {
  std::string command;  // a path, or a name to find in PATH
  std::vector<std::string> args;
  std::vector<std::pair<std::string, std::string>> env;  // added to ours
  std::string api_version = "client.authentication.k8s.io/v1";
  std::string install_hint;
  nlohmann::json cluster;  // told in KUBERNETES_EXEC_INFO when provideClusterInfo asks for it
  Duration deadline = std::chrono::seconds(60);
};

// A certificate that the plugin issues goes to `tls`, which may be null when the server speaks
// http. Errors of Authorization(): kUser when the program cannot be run, fails or prints something
// else, kTransient when it outlives its deadline or the call's limit. `clock` must be thread-safe
// and outlive the result.
[[nodiscard]] std::shared_ptr<Credentials> MakeExecCredentials(ExecPlugin plugin,
                                                               std::shared_ptr<TlsSource> tls,
                                                               const Clock& clock);

}  // namespace longstride::kube
