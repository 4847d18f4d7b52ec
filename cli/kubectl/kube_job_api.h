// JobApi over a real cluster.
#pragma once

#include <memory>
#include <string>

#include "cli/kubectl/job_api.h"
#include "controller/kube/client.h"
#include "controller/kube/credentials.h"
#include "controller/kube/http_transport.h"

namespace longstride {

// Names in errors are those of the API server. `clock` must outlive the result.
[[nodiscard]] std::unique_ptr<JobApi> MakeKubeJobApi(std::shared_ptr<kube::HttpTransport> transport,
                                                     std::shared_ptr<kube::Credentials> credentials,
                                                     const std::string& name_space,
                                                     const Clock& clock);

}  // namespace longstride
