#include "runtime/membership/http_exchange.h"

#include <cpprest/http_client.h>
#include <pplx/threadpool.h>

#include <condition_variable>
#include <mutex>

#include "core/protocol/json.h"

namespace longstride {
namespace {

using web::http::client::http_client;

constexpr int kThreads = 4;                     // of the library's pool, which would be 40
constexpr std::chrono::seconds kIdleLimit(60);  // the library's; our deadlines are shorter
constexpr std::chrono::milliseconds kStopPeriod(50);

void InitializeThreadPool() {
  static std::once_flag once;
  std::call_once(once, [] {
    try {
      crossplat::threadpool::initialize_with_threads(kThreads);
    } catch (const std::exception&) {
      // A server in this process was there first; its pool serves.
    }
  });
}

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

class CpprestExchange final : public HttpExchange {
 public:
  CpprestExchange(const web::uri& base, std::string token,
                  const web::http::client::http_client_config& config)
      : client_(base, config), authorization_("Bearer " + token) {}

  Result<HttpAnswer> Send(const std::string& method, const std::string& path,
                          const std::string& body, Duration deadline,
                          const std::function<bool()>& stopped) override {
    auto pending = std::make_shared<Pending>();
    pplx::cancellation_token_source cancellation;
    try {
      web::http::http_request request(method);
      request.set_request_uri(web::uri(path));
      request.headers().add("Authorization", authorization_);
      if (!body.empty()) request.set_body(body, "application/json");
      client_.request(request, cancellation.get_token())
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

 private:
  http_client client_;
  const std::string authorization_;
  const SystemClock clock_;
};

}  // namespace

Result<std::unique_ptr<HttpExchange>> MakeHttpExchange(const std::string& url,
                                                       const std::string& token) {
  InitializeThreadPool();
  try {
    web::http::client::http_client_config config;
    config.set_timeout(kIdleLimit);
    config.set_max_redirects(0);  // a redirect would carry the token away
    const web::uri base(url);
    if (base.scheme() != "http" || base.host().empty()) return UserError("not an http URL: " + url);
    return std::unique_ptr<HttpExchange>(std::make_unique<CpprestExchange>(base, token, config));
  } catch (const std::exception& e) {
    return UserError("not a URL: " + url + " (" + e.what() + ")");
  }
}

}  // namespace longstride
