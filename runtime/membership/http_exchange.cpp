#include "runtime/membership/http_exchange.h"

#include <cpprest/http_client.h>

#include <condition_variable>
#include <fstream>
#include <mutex>

#include "core/base/log.h"
#include "core/cpprest/thread_pool.h"
#include "core/protocol/json.h"

namespace longstride {
namespace {

using web::http::client::http_client;

constexpr std::chrono::seconds kIdleLimit(60);  // the library's; our deadlines are shorter
constexpr std::chrono::milliseconds kStopPeriod(50);
constexpr std::chrono::minutes kTokenAge(1);
constexpr int kUnauthorized = 401;
constexpr int kMisdirected = 421;

// Shared by the caller and the continuation, as either may be the last to go.
struct Pending {
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  HttpAnswer answer;
  std::string error;
};

void Finish(Pending& pending, HttpAnswer answer, std::string error) {
  const std::lock_guard lock(pending.mutex);
  pending.answer = std::move(answer);
  pending.error = std::move(error);
  pending.done = true;
  pending.changed.notify_all();
}

// Replaces whatever OpenSSL trusts by the file's certificates. Called for each new connection.
void TrustOnly(const std::string& ca_file, boost::asio::ssl::context& context) {
  SSL_CTX* native = context.native_handle();
  SSL_CTX_set_cert_store(native, X509_STORE_new());
  if (SSL_CTX_load_verify_locations(native, ca_file.c_str(), nullptr) != 1)
    LogWarning("membership", "no certificates could be read from " + ca_file);
}

// The bearer token, from memory or from a file that is read now and then. Thread-safe.
class Token {
 public:
  Token(std::string fixed, std::string file) : file_(std::move(file)), token_(std::move(fixed)) {}

  // Reads the file; false if it cannot be read or nothing has changed.
  bool Refresh() {
    if (file_.empty()) return false;
    std::ifstream in(file_);
    std::string token;
    const bool read = std::getline(in, token) && !token.empty();
    const std::lock_guard lock(mutex_);
    read_at_ = clock_.Now();
    if (!read || token == token_) return false;
    token_ = std::move(token);
    return true;
  }
  std::string Get() {
    if (!file_.empty() && Age() > kTokenAge) Refresh();
    const std::lock_guard lock(mutex_);
    return token_;
  }

 private:
  Duration Age() {
    const std::lock_guard lock(mutex_);
    return clock_.Now() - read_at_;
  }

  const std::string file_;
  const SystemClock clock_{};
  std::mutex mutex_;
  std::string token_;
  TimePoint read_at_;
};

class CpprestExchange final : public HttpExchange {
 public:
  CpprestExchange(const web::uri& base, std::shared_ptr<Token> token,
                  const web::http::client::http_client_config& config)
      : base_(base), config_(config), token_(std::move(token)) {}

  Result<HttpAnswer> Send(const std::string& method, const std::string& path,
                          const std::string& body, Duration deadline,
                          const std::function<bool()>& stopped) override {
    Result<HttpAnswer> answer = Attempt(method, path, body, deadline, stopped);
    if (answer.ok() && answer->status == kUnauthorized && token_->Refresh())
      answer = Attempt(method, path, body, deadline, stopped);
    const bool failed = !answer.ok() && answer.error().code == ErrorCode::kTransient;
    if (failed || (answer.ok() && answer->status == kMisdirected)) DropConnections();
    return answer;
  }

 private:
  std::shared_ptr<http_client> Client() {
    const std::lock_guard lock(mutex_);
    if (!client_) client_ = std::make_shared<http_client>(base_, config_);
    return client_;
  }
  void DropConnections() {
    const std::lock_guard lock(mutex_);
    client_.reset();
  }

  Result<HttpAnswer> Attempt(const std::string& method, const std::string& path,
                             const std::string& body, Duration deadline,
                             const std::function<bool()>& stopped) {
    auto pending = std::make_shared<Pending>();
    pplx::cancellation_token_source cancellation;
    try {
      web::http::http_request request(method);
      request.set_request_uri(web::uri(path));
      request.headers().add("Authorization", "Bearer " + token_->Get());
      if (!body.empty()) request.set_body(body, "application/json");
      Client()
          ->request(request, cancellation.get_token())
          .then([](web::http::http_response response) {
            const auto length = response.headers().content_length();
            if (length > kMaxMessageBytes)
              throw web::http::http_exception("the answer is too long");
            const int status = response.status_code();
            return response.extract_utf8string(true).then([status](std::string text) {
              return HttpAnswer{status, std::move(text)};
            });
          })
          .then(
              [pending](pplx::task<HttpAnswer> answered) {  // observes every exception of the chain
                try {
                  Finish(*pending, answered.get(), "");
                } catch (const std::exception& e) {
                  Finish(*pending, {}, std::string(e.what()).empty() ? "no answer" : e.what());
                }
              });
    } catch (const std::exception& e) {
      return TransientError(std::string("the coordinator could not be asked: ") + e.what());
    }

    const TimePoint until = clock_.Now() + deadline;
    std::unique_lock lock(pending->mutex);
    while (!pending->done) {
      const Duration left = until - clock_.Now();
      const bool stop = stopped && stopped();
      if (stop || left <= Duration::zero()) {
        lock.unlock();
        cancellation.cancel();
        if (stop) return InterruptedError("stopped while waiting for the coordinator");
        return TransientError("the coordinator did not answer in time");
      }
      pending->changed.wait_for(lock, stopped ? std::min<Duration>(left, kStopPeriod) : left);
    }
    if (!pending->error.empty()) {
      return TransientError("the coordinator could not be reached: " + pending->error);
    }
    return std::move(pending->answer);
  }

  const web::uri base_;
  const web::http::client::http_client_config config_;
  const std::shared_ptr<Token> token_;
  const SystemClock clock_{};
  std::mutex mutex_;
  std::shared_ptr<http_client> client_;  // its pool of connections
};

}  // namespace

Result<std::unique_ptr<HttpExchange>> MakeHttpExchange(const HttpEndpoint& endpoint) {
  StartCpprestPool();
  auto token = std::make_shared<Token>(endpoint.token, endpoint.token_file);
  if (!endpoint.token_file.empty() && !token->Refresh())
    return UserError("the token file " + endpoint.token_file + " cannot be read or is empty");
  try {
    web::http::client::http_client_config config;
    config.set_timeout(kIdleLimit);
    config.set_max_redirects(0);  // a redirect would carry the token away
    if (!endpoint.ca_file.empty()) {
      config.set_ssl_context_callback(
          [file = endpoint.ca_file](boost::asio::ssl::context& c) { TrustOnly(file, c); });
    }
    const web::uri base(endpoint.url);
    const bool http = base.scheme() == "http" || base.scheme() == "https";
    if (!http || base.host().empty()) return UserError("not an http or https URL: " + endpoint.url);
    return std::unique_ptr<HttpExchange>(
        std::make_unique<CpprestExchange>(base, std::move(token), config));
  } catch (const std::exception& e) {
    return UserError("not a URL: " + endpoint.url + " (" + e.what() + ")");
  }
}

}  // namespace longstride
