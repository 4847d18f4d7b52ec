#include "controller/http/coordinator_server.h"

#include <sys/random.h>

#include <array>

#include "core/base/format.h"

namespace longstride {
namespace {

constexpr Duration kTickPeriod = std::chrono::milliseconds(100);

}  // namespace

Result<std::unique_ptr<CoordinatorServer>> CoordinatorServer::Start(
    const HttpServerOptions& options, const Clock& clock) {
  std::unique_ptr<CoordinatorServer> server(
      new CoordinatorServer(options.address, options.certificate != nullptr, clock));
  LONGSTRIDE_ASSIGN_OR_RETURN(server->server_, HttpServer::Start(options, server->service_));
  server->ticker_ = std::thread([raw = server.get()] { raw->RunTicker(); });
  return server;
}

CoordinatorServer::~CoordinatorServer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_requested_.notify_all();
  if (ticker_.joinable()) ticker_.join();
  service_.Close();
  if (server_) server_->Stop();
}

void CoordinatorServer::RunTicker() {
  std::unique_lock lock(mutex_);
  while (!stop_requested_.wait_for(lock, kTickPeriod, [this] { return stopping_; })) {
    lock.unlock();
    service_.Tick();
    lock.lock();
  }
}

std::string CoordinatorServer::UrlOf(const JobKey& key) const {
  return Format("%s://%s:%u/v1/jobs/%s/%s", tls_ ? "https" : "http", address_.c_str(),
                unsigned{port()}, key.namespace_.c_str(), key.name.c_str());
}

Result<std::string> MakeToken() {
  std::array<unsigned char, 32> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return ResourceError("the operating system gave no random bytes for a token");
  }
  std::string token;
  for (const unsigned char byte : bytes) token += Format("%02x", unsigned{byte});
  return token;
}

}  // namespace longstride
