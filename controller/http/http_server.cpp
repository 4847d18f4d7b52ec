#include "controller/http/http_server.h"

#include <arpa/inet.h>
#include <cpprest/http_listener.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <utility>

#include "core/base/format.h"
#include "core/base/log.h"
#include "core/cpprest/thread_pool.h"

namespace longstride {
namespace {

using web::http::experimental::listener::http_listener;

constexpr int kPortAttempts = 20;
constexpr int kBacklog = 4096;  // connections at once, as when a thousand workers come back
constexpr size_t kReadBytes = size_t{8} << 10;  // kept for as long as a poll waits

// A port that was free a moment ago. The listener has no way to tell which port 0 gave it.
Result<uint16_t> FindFreePort(const std::string& address) {
  sockaddr_in name{};
  name.sin_family = AF_INET;
  if (inet_pton(AF_INET, address.c_str(), &name.sin_addr) != 1) {
    return UserError("not an IPv4 address to listen on: " + address);
  }
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return ResourceError("no socket to find a free port with");
  socklen_t size = sizeof(name);
  const bool bound = bind(fd, reinterpret_cast<sockaddr*>(&name), size) == 0 &&
                     getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) == 0;
  close(fd);
  if (!bound)
    return UserError("cannot listen on " + address + ": the address is not of this machine");
  return static_cast<uint16_t>(ntohs(name.sin_port));
}

void Reply(const web::http::http_request& request, const HttpResponse& response) {
  try {
    web::http::http_response answer(static_cast<web::http::status_code>(response.status));
    if (!response.body.empty()) answer.set_body(response.body, response.content_type);
    // A send failure is observed here: unobserved it would end the process.
    request.reply(answer).then([](pplx::task<void> sent) {
      try {
        sent.get();
      } catch (const std::exception&) {
      }
    });
  } catch (const std::exception& e) {
    LogDebug("http", std::string("answer not sent: ") + e.what());
  }
}

// The way to the handler, shut when the server stops: a body may still be arriving then. Counts
// those that are on it, and their bytes.
class Gate {
 public:
  Gate(HttpHandler& handler, const HttpServerOptions& options)
      : max_requests_(options.max_requests),
        max_bytes_(options.max_arriving_bytes),
        handler_(&handler) {}
  // False when too many have entered; Leave all the same.
  bool Enter() { return entered_.fetch_add(1) < max_requests_; }
  void Leave() { entered_.fetch_sub(1); }
  // False when too many are held; Release all the same.
  bool Hold(size_t bytes) { return bytes_.fetch_add(bytes) + bytes <= max_bytes_; }
  void Release(size_t bytes) { bytes_.fetch_sub(bytes); }
  void Shut() {
    std::unique_lock lock(mutex_);
    handler_ = nullptr;
  }
  void Pass(HttpRequest request, HttpHandler::Respond respond) {
    std::shared_lock lock(mutex_);
    if (handler_) {
      handler_->Handle(std::move(request), std::move(respond));
    } else {
      respond({503, R"({"code":"transient","message":"the server is stopping"})"});
    }
  }

 private:
  const int64_t max_requests_;
  const size_t max_bytes_;
  std::atomic<int64_t> entered_{0};
  std::atomic<size_t> bytes_{0};
  std::shared_mutex mutex_;
  HttpHandler* handler_;
};

// Reads a request's body up to a bound; keeps itself alive through the continuations that hold it.
class BodyReader : public std::enable_shared_from_this<BodyReader> {
 public:
  BodyReader(const web::http::http_request& request, size_t max_bytes, std::shared_ptr<Gate> gate)
      : request_(request),
        max_bytes_(max_bytes),
        gate_(std::move(gate)),
        admitted_(gate_->Enter()) {}
  ~BodyReader() {
    gate_->Release(held_);
    gate_->Leave();
  }

  void Next() {
    auto self = shared_from_this();
    request_.body()
        .streambuf()
        .getn(buffer_.data(), buffer_.size())
        .then([self](pplx::task<size_t> read) {
          try {
            self->Take(read.get());
          } catch (const std::exception& e) {  // the client went away in the middle of its body
            Reply(self->request_, {400, "", "text/plain"});
            LogDebug("http", std::string("request not read: ") + e.what());
          }
        });
  }

 private:
  void Take(size_t bytes) {
    if (bytes > 0) {
      too_long_ = too_long_ || body_.size() + bytes > max_bytes_;
      if (admitted_ && !too_long_) Keep(bytes);
      if (!admitted_ || too_long_) Drop();
      Next();
      return;
    }
    if (!admitted_) {
      Reply(request_, {503, R"({"code":"transient","message":"too many requests are open"})"});
      return;
    }
    if (too_long_) {
      Reply(request_, {413, R"({"code":"user","message":"the request's body is too long"})"});
      return;
    }
    HttpRequest request;
    request.method = request_.method();
    request.path = web::uri::decode(request_.request_uri().path());
    const auto header = request_.headers().find("Authorization");
    if (header != request_.headers().end()) request.authorization = header->second;
    request.body = std::move(body_);
    Drop();
    auto self = shared_from_this();
    gate_->Pass(std::move(request),
                [self](const HttpResponse& response) { Reply(self->request_, response); });
  }

  // What is in the buffer, if the gate holds so much.
  void Keep(size_t bytes) {
    held_ += bytes;
    admitted_ = gate_->Hold(bytes);
    if (admitted_) body_.append(reinterpret_cast<const char*>(buffer_.data()), bytes);
  }
  void Drop() {
    body_ = std::string();
    gate_->Release(std::exchange(held_, 0));
  }

  web::http::http_request request_;
  const size_t max_bytes_;
  const std::shared_ptr<Gate> gate_;
  bool admitted_;
  bool too_long_ = false;
  size_t held_ = 0;  // bytes, of all that arrive
  std::string body_;
  std::array<uint8_t, kReadBytes> buffer_;
};

web::http::experimental::listener::http_listener_config ConfigOf(const HttpServerOptions& options) {
  web::http::experimental::listener::http_listener_config config;
  config.set_backlog(kBacklog);
  if (options.certificate) {
    // Called for each connection, which has a context of its own.
    config.set_ssl_context_callback(
        [certificate = options.certificate](boost::asio::ssl::context& context) {
          if (!certificate->Use(context.native_handle()))
            LogError("http", "OpenSSL refuses the server's certificate");
        });
  }
  return config;
}

class ListenerServer final : public HttpServer {
 public:
  ListenerServer(const HttpServerOptions& options, uint16_t port, HttpHandler& handler)
      : port_(port),
        gate_(std::make_shared<Gate>(handler, options)),
        listener_(web::uri(Format("%s://%s:%u/", options.certificate ? "https" : "http",
                                  options.address.c_str(), unsigned{port})),
                  ConfigOf(options)) {
    listener_.support(
        [max = options.max_body_bytes, gate = gate_](const web::http::http_request& request) {
          std::make_shared<BodyReader>(request, max, gate)->Next();
        });
  }

  ~ListenerServer() override { Stop(); }

  Status Open() {
    try {
      listener_.open().wait();
      return {};
    } catch (const std::exception& e) {
      return TransientError(Format("cannot listen on port %u: %s", unsigned{port_}, e.what()));
    }
  }

  [[nodiscard]] uint16_t port() const override { return port_; }

  void Stop() override {
    if (stopped_.exchange(true)) return;
    gate_->Shut();
    try {
      listener_.close().wait();
    } catch (const std::exception& e) {
      LogDebug("http", std::string("listener not closed: ") + e.what());
    }
  }

 private:
  const uint16_t port_;
  const std::shared_ptr<Gate> gate_;
  std::atomic<bool> stopped_{false};
  http_listener listener_;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::Start(const HttpServerOptions& options,
                                                      HttpHandler& handler) {
  StartCpprestPool();
  Status failed;
  for (int attempt = 0; attempt < kPortAttempts; ++attempt) {
    uint16_t port = options.port;
    if (port == 0) {
      LONGSTRIDE_ASSIGN_OR_RETURN(port, FindFreePort(options.address));
    }
    auto server = std::make_unique<ListenerServer>(options, port, handler);
    failed = server->Open();
    if (failed.ok()) return std::unique_ptr<HttpServer>(std::move(server));
    if (options.port != 0) return UserError(failed.error().message);
  }
  return failed.error();
}

}  // namespace longstride
