// What the plugin asks of a cluster, in one namespace. An interface, so that the commands are
// tested without one; kube_job_api.h has the real one.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"

namespace longstride {

struct LogOptions {
  bool follow = false;
  std::optional<int64_t> tail;  // last lines only
};

// Every call blocks until it is answered or its own deadline passes; those with a stop token also
// end on it (kInterrupted). Not thread-safe, but for Logs, which may be called by several threads.
class JobApi {
 public:
  virtual ~JobApi() = default;

  [[nodiscard]] virtual Result<nlohmann::json> Create(const nlohmann::json& job) = 0;
  [[nodiscard]] virtual Result<nlohmann::json> Get(const std::string& name) = 0;
  [[nodiscard]] virtual Result<std::vector<nlohmann::json>> List() = 0;
  // A JSON merge patch of the job, or of its `subresource` ("scale").
  [[nodiscard]] virtual Result<nlohmann::json> Patch(const std::string& name,
                                                     const nlohmann::json& patch,
                                                     const std::string& subresource = "") = 0;
  // `uid`: only that very job; "" = whichever has the name.
  [[nodiscard]] virtual Status Delete(const std::string& name, const std::string& uid = "") = 0;
  // The job as it is, and again whenever it changes, until `sink` returns false. Tries again, with
  // growing pauses, what fails for a while. kUser when it is deleted, kTransient when `deadline`
  // has passed, and only then.
  [[nodiscard]] virtual Status Watch(const std::string& name, Duration deadline,
                                     const std::function<bool(const nlohmann::json&)>& sink,
                                     std::stop_token stop) = 0;
  // Pods of the job, of all incarnations.
  [[nodiscard]] virtual Result<std::vector<nlohmann::json>> Pods(const std::string& name) = 0;
  // Events about the job, in no order.
  [[nodiscard]] virtual Result<std::vector<nlohmann::json>> Events(const std::string& name) = 0;
  // Lines of the container named `worker`.
  [[nodiscard]] virtual Status Logs(const std::string& pod, const LogOptions& options,
                                    const std::function<void(std::string_view line)>& sink,
                                    std::stop_token stop) = 0;
};

}  // namespace longstride
