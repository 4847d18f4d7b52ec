#include "controller/kube/cpprest_transport.h"

#include <cpprest/http_client.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "controller/kube/line_splitter.h"
#include "core/cpprest/thread_pool.h"

namespace longstride::kube {
namespace {

using web::http::client::http_client;
using web::http::client::http_client_config;
using TlsStream = boost::asio::ssl::stream<boost::asio::ip::tcp::socket&>;

// The library's limit is on idleness and would end a quiet watch; our deadlines are what counts.
constexpr std::chrono::hours kIdleLimit(24);
constexpr size_t kReadBytes = size_t{64} << 10;
// How the library begins to speak of a request that could not be written, of which the server has
// nothing whole. It does not try again itself.
constexpr std::string_view kNotWritten = "Failed to write request ";
// A dead peer is noticed after 15 + 3 * 5 s, also on a watch, on which we never send.
constexpr int kKeepAliveIdleSeconds = 15;
constexpr int kKeepAliveProbeSeconds = 5;
constexpr int kKeepAliveProbes = 3;

// The library passes on OpenSSL's own code of a handshake that failed.
bool IsUntrusted(const std::exception& e) {
  const auto* failed = dynamic_cast<const web::http::http_exception*>(&e);
  if (!failed) return false;
  const auto code = static_cast<unsigned long>(failed->error_code().value());
  return ERR_GET_LIB(code) == ERR_LIB_SSL &&
         ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED;
}

Error ErrorOf(const std::exception& e) {
  if (IsUntrusted(e))
    return UserError("the API server's certificate is not trusted; the log says why");
  const std::string what = e.what();
  return TransientError(what.empty() ? "the connection failed" : what);
}

// One value handed from the library's threads to ours. Shared by both, as either may be the last to
// go.
template <typename T>
class Handover {
 public:
  // Observes the task's exception, if it ends in one: unobserved it would end the process.
  static std::shared_ptr<Handover> Of(pplx::task<T> task) {
    auto handover = std::make_shared<Handover>();
    task.then([handover](pplx::task<T> done) {
      try {
        handover->Set(done.get());
      } catch (const std::exception& e) {
        handover->Set(ErrorOf(e));
      }
    });
    return handover;
  }

  // Nothing when `until` passed or `stop` came first.
  std::optional<Result<T>> Await(TimePoint until, const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    ready_.wait_until(lock, stop, until, [this] { return value_.has_value(); });
    return std::move(value_);
  }

 private:
  void Set(Result<T> value) {
    const std::lock_guard lock(mutex_);
    value_.emplace(std::move(value));
    ready_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable_any ready_;
  std::optional<Result<T>> value_;
};

int StreamIndex() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

void KeepAlive(int socket) {
  const int on = 1;
  setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &kKeepAliveIdleSeconds, sizeof(int));
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &kKeepAliveProbeSeconds, sizeof(int));
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &kKeepAliveProbes, sizeof(int));
}

// The first moment at which a connection's socket is open: names the server and sets the socket's
// options.
void OnHandshake(const SSL* ssl, int where, int) {
  if ((where & SSL_CB_HANDSHAKE_START) == 0) return;
  SSL* session = const_cast<SSL*>(ssl);  // the callback's type is older than its uses
  const char* name = X509_VERIFY_PARAM_get0_host(SSL_get0_param(session), 0);
  if (name && !SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) {
    SSL_set_tlsext_host_name(session, name);
  }
  auto* stream = static_cast<TlsStream*>(SSL_get_ex_data(ssl, StreamIndex()));
  if (stream) KeepAlive(stream->next_layer().native_handle());
}

http_client_config MakeConfig(const std::shared_ptr<TlsSource>& tls, const std::string& host) {
  http_client_config config;
  config.set_timeout(kIdleLimit);
  config.set_max_redirects(0);  // a redirect would carry the token away
  if (!tls) return config;
  config.set_validate_certificates(!tls->insecure());
  config.set_tlsext_sni_enabled(false);  // the library would send IP addresses, too
  config.set_ssl_context_callback([tls, host](boost::asio::ssl::context& context) {
    tls->Configure(context.native_handle(), host);
    SSL_CTX_set_info_callback(context.native_handle(), OnHandshake);
  });
  config.set_nativehandle_options([](web::http::client::native_handle handle) {
    auto* stream = static_cast<TlsStream*>(handle);
    SSL_set_ex_data(stream->native_handle(), StreamIndex(), stream);
  });
  return config;
}

web::http::http_request ToCpprest(const TransportRequest& request) {
  web::http::http_request converted(request.method);
  converted.set_request_uri(
      web::uri(request.query.empty() ? request.path : request.path + "?" + request.query));
  if (!request.body.empty()) converted.set_body(request.body);
  for (const auto& [name, value] : request.headers) {
    converted.headers().remove(name);  // the body set a type of its own
    converted.headers().add(name, value);
  }
  return converted;
}

// One exchange: the library's tasks on one side, our thread, deadline and stop token on the other.
// Ending it early closes its connection.
class Exchange {
 public:
  Exchange(std::shared_ptr<http_client> client, const TransportRequest& request, TimePoint until,
           std::stop_token stop)
      : until_(until), stop_(std::move(stop)), client_(std::move(client)) {
    answer_ = Handover<web::http::http_response>::Of(
        client_->request(ToCpprest(request), cancellation_.get_token()));
  }
  ~Exchange() {
    if (!ended_) cancellation_.cancel();
  }

  Result<TransportResponse> AwaitHead() {
    LONGSTRIDE_ASSIGN_OR_RETURN(response_, Finish(answer_->Await(until_, stop_)));
    TransportResponse head;
    head.status = response_.status_code();
    for (const auto& [name, value] : response_.headers()) head.headers.emplace_back(name, value);
    body_ = response_.body().streambuf();
    return head;
  }

  // The next bytes of the body, valid until the next call; empty at its end.
  Result<std::string_view> Read() {
    // One byte is what there is to wait for; with it come all that have arrived.
    LONGSTRIDE_ASSIGN_OR_RETURN(size_t bytes, ReadInto(0, 1));
    if (bytes == 0) {
      ended_ = true;
      return std::string_view();
    }
    const size_t more = std::min(body_.in_avail(), buffer_->size() - 1);
    if (more > 0) {
      LONGSTRIDE_ASSIGN_OR_RETURN(const size_t read, ReadInto(1, more));
      bytes += read;
    }
    return std::string_view(reinterpret_cast<const char*>(buffer_->data()), bytes);
  }

  // To the end of the body, for those who do not want it: a connection that is closed while data
  // pour in is closed under the library's own threads, which may crash then.
  void ThrowAwayTheRest() {
    while (true) {
      const auto bytes = Read();
      if (!bytes.ok() || bytes->empty()) return;
    }
  }

 private:
  using Buffer = std::array<uint8_t, kReadBytes>;

  Result<size_t> ReadInto(size_t offset, size_t count) {
    // The buffer lives as long as the read does, which may be longer than we.
    auto handover = Handover<size_t>::Of(
        body_.getn(buffer_->data() + offset, count).then([buffer = buffer_](size_t read) {
          return read;
        }));
    return Finish(handover->Await(until_, stop_));
  }

  template <typename T>
  Result<T> Finish(std::optional<Result<T>> result) const {
    if (result) return *std::move(result);
    if (stop_.stop_requested()) return InterruptedError("stopped");
    return TransientError("no answer within the deadline");
  }

  const TimePoint until_;
  const std::stop_token stop_;
  const std::shared_ptr<http_client> client_;
  pplx::cancellation_token_source cancellation_;
  std::shared_ptr<Handover<web::http::http_response>> answer_;
  web::http::http_response response_;
  concurrency::streams::streambuf<uint8_t> body_;
  std::shared_ptr<Buffer> buffer_ = std::make_shared<Buffer>();
  bool ended_ = false;
};

class CpprestTransport final : public HttpTransport {
 public:
  CpprestTransport(web::uri base, const CpprestTransportOptions& options)
      : options_(options), base_(std::move(base)), client_(MakeClient()) {}

  Result<TransportResponse> Send(const TransportRequest& request, Duration deadline,
                                 std::stop_token stop) override {
    return Guarded([&]() -> Result<TransportResponse> {
      LONGSTRIDE_ASSIGN_OR_RETURN(Begun begun, Begin(request, clock_.Now() + deadline, stop));
      LONGSTRIDE_RETURN_IF_ERROR(ReadBody(*begun.exchange, begun.head.body));
      return std::move(begun.head);
    });
  }

  Result<TransportResponse> Stream(const TransportRequest& request, const LineSink& sink,
                                   Duration deadline, std::stop_token stop) override {
    return Guarded([&]() -> Result<TransportResponse> {
      LONGSTRIDE_ASSIGN_OR_RETURN(Begun begun, Begin(request, clock_.Now() + deadline, stop));
      auto& [exchange, response] = begun;
      if (response.status < 200 || response.status > 299) {
        LONGSTRIDE_RETURN_IF_ERROR(ReadBody(*exchange, response.body));
        return std::move(response);
      }
      LineSplitter lines(options_.max_line_bytes);
      while (true) {
        LONGSTRIDE_ASSIGN_OR_RETURN(const std::string_view bytes, exchange->Read());
        if (bytes.empty()) {
          if (!lines.rest().empty()) (void)sink(lines.rest());
          return std::move(response);
        }
        bool more = true;
        if (!lines.Feed(bytes, [&](std::string_view line) { return more = sink(line); })) {
          return ResourceError("a line of the stream is longer than the bound");
        }
        if (!more) return std::move(response);
      }
    });
  }

 private:
  struct Begun {
    std::unique_ptr<Exchange> exchange;
    TransportResponse head;
  };

  // A request that could not be written took one of the idle connections, which was dead, as the
  // others are likely to be, too: all of them are let go, and it is sent once more, on a new one.
  Result<Begun> Begin(const TransportRequest& request, TimePoint until,
                      const std::stop_token& stop) {
    const std::shared_ptr<http_client> client = CurrentClient();
    auto begun = BeginOn(client, request, until, stop);
    if (begun.ok() || !begun.error().message.starts_with(kNotWritten)) return begun;
    return BeginOn(ClientInsteadOf(client), request, until, stop);
  }
  static Result<Begun> BeginOn(std::shared_ptr<http_client> client, const TransportRequest& request,
                               TimePoint until, const std::stop_token& stop) {
    auto exchange = std::make_unique<Exchange>(std::move(client), request, until, stop);
    LONGSTRIDE_ASSIGN_OR_RETURN(TransportResponse head, exchange->AwaitHead());
    return Begun{std::move(exchange), std::move(head)};
  }

  [[nodiscard]] std::shared_ptr<http_client> MakeClient() const {
    return std::make_shared<http_client>(base_, MakeConfig(options_.tls, base_.host()));
  }
  std::shared_ptr<http_client> CurrentClient() {
    const std::lock_guard lock(mutex_);
    return client_;
  }
  std::shared_ptr<http_client> ClientInsteadOf(const std::shared_ptr<http_client>& dead) {
    const std::lock_guard lock(mutex_);
    if (client_ == dead) client_ = MakeClient();
    return client_;
  }

  // The border to the library.
  template <typename Call>
  Result<TransportResponse> Guarded(Call call) {
    if (options_.tls) options_.tls->Refresh();
    try {
      return call();
    } catch (const std::exception& e) {
      return TransientError(std::string("not sent: ") + e.what());
    }
  }

  Status ReadBody(Exchange& exchange, std::string& body) const {
    while (true) {
      LONGSTRIDE_ASSIGN_OR_RETURN(const std::string_view bytes, exchange.Read());
      if (bytes.empty()) return {};
      if (body.size() + bytes.size() > options_.max_body_bytes) {
        exchange.ThrowAwayTheRest();
        return ResourceError("the answer is longer than the bound");
      }
      body += bytes;
    }
  }

  const CpprestTransportOptions options_;
  const web::uri base_;
  const SystemClock clock_{};
  std::mutex mutex_;
  std::shared_ptr<http_client> client_;  // with the idle connections
};

}  // namespace

Result<std::unique_ptr<HttpTransport>> MakeCpprestTransport(
    const CpprestTransportOptions& options) {
  StartCpprestPool();
  try {
    const web::uri base(options.url);
    const bool https = base.scheme() == "https";
    if ((!https && base.scheme() != "http") || base.host().empty()) {
      return UserError("not an http or https URL: " + options.url);
    }
    if (https && !options.tls) return UserError("an https URL needs TLS options: " + options.url);
    CpprestTransportOptions own = options;
    if (!https) own.tls = nullptr;
    return std::unique_ptr<HttpTransport>(std::make_unique<CpprestTransport>(base, own));
  } catch (const std::exception& e) {
    return UserError("not a URL: " + options.url + " (" + e.what() + ")");
  }
}

}  // namespace longstride::kube
