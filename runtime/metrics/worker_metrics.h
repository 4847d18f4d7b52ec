// The worker's metrics and the HTTP server that shows them to Prometheus.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/protocol/messages.h"
#include "runtime/profile/nvml.h"

namespace longstride {

struct MetricsOptions {
  // Where to serve /metrics; port 0 = a free one, "" = nowhere. The server takes up to 2 s to shut
  // down, so a process in a hurry ends without destroying it.
  std::string address = "127.0.0.1:0";
  WorkerId worker;
  std::string device = "cpu";
  std::string device_name;
  int64_t memory_limit_bytes = 0;
  std::vector<std::string> purposes;  // names of the entries of RoundReport::bytes_sent
};

// Thread-safe: reports come from the training thread while the server answers on its own.
class WorkerMetrics {
 public:
  // Starts to serve. kTransient if the address cannot be bound.
  [[nodiscard]] static Result<std::unique_ptr<WorkerMetrics>> Start(const MetricsOptions& options);
  virtual ~WorkerMetrics() = default;

  // Takes a committed round of this worker into account.
  virtual void Observe(const RoundReport& report) = 0;
  // Takes what GPU `index` of the machine says now.
  virtual void ObserveGpu(int index, const GpuDescription& gpu) = 0;
  // The port being served; 0 = none.
  [[nodiscard]] virtual int port() const = 0;
  // What /metrics answers now.
  [[nodiscard]] virtual std::string Render() const = 0;
};

}  // namespace longstride
