// A coordinator service that listens: the service, an HTTP server in front of it and a thread that
// lets time act. `longstride run` starts one on loopback; the operator will host one for all its
// jobs.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "controller/http/coordinator_service.h"
#include "controller/http/http_server.h"
#include "core/base/clock.h"
#include "core/base/result.h"

namespace longstride {

class CoordinatorServer {
 public:
  // Listens when this returns. `clock` must be thread-safe and outlive the server. Errors:
  // HttpServer::Start.
  [[nodiscard]] static Result<std::unique_ptr<CoordinatorServer>> Start(
      const HttpServerOptions& options, const Clock& clock);
  ~CoordinatorServer();

  [[nodiscard]] CoordinatorService& service() { return service_; }
  [[nodiscard]] uint16_t port() const { return server_->port(); }
  // What workers are told: "http://127.0.0.1:41234/v1/jobs/default/name".
  [[nodiscard]] std::string UrlOf(const JobKey& key) const;

 private:
  CoordinatorServer(std::string address, bool tls, const Clock& clock)
      : address_(std::move(address)), tls_(tls), service_(clock) {}
  void RunTicker();

  const std::string address_;
  const bool tls_;
  CoordinatorService service_;
  std::unique_ptr<HttpServer> server_;
  std::mutex mutex_;
  std::condition_variable stop_requested_;
  bool stopping_ = false;
  std::thread ticker_;
};

// 32 random bytes in hex, from the operating system. kResource when it has none.
[[nodiscard]] Result<std::string> MakeToken();

}  // namespace longstride
