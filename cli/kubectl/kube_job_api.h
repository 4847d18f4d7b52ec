// JobApi over a real cluster.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "cli/kubectl/job_api.h"
#include "controller/kube/client.h"
#include "controller/kube/credentials.h"
#include "controller/kube/http_transport.h"
#include "controller/kube/stoppable_wait.h"

namespace longstride {

// False when `stop` came before the time had passed.
using Pause = std::function<bool(Duration, const std::stop_token& stop)>;

// Names in errors are those of the API server. `clock` must outlive the result; `pause` is made
// between two tries of a watch.
[[nodiscard]] std::unique_ptr<JobApi> MakeKubeJobApi(std::shared_ptr<kube::HttpTransport> transport,
                                                     std::shared_ptr<kube::Credentials> credentials,
                                                     const std::string& name_space,
                                                     const Clock& clock,
                                                     Pause pause = kube::WaitFor);

}  // namespace longstride
