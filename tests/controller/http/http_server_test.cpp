// The server as strangers see it: raw bytes over loopback.
#include "controller/http/http_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>

namespace longstride {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// Echoes the body's size; keeps the answer to /later until it is asked for.
class Echo final : public HttpHandler {
 public:
  void Handle(HttpRequest request, Respond respond) override {
    if (request.path == "/later") {
      const std::lock_guard lock(mutex_);
      later_ = std::move(respond);
      parked_.notify_all();
      return;
    }
    Respond later;
    {
      const std::lock_guard lock(mutex_);
      if (request.path == "/now") later = std::move(later_);
    }
    if (later) later({200, "later", "text/plain"});
    respond({200, request.authorization + "|" + std::to_string(request.body.size()), "text/plain"});
  }
  void AnswerParked() {
    Respond later;
    {
      const std::lock_guard lock(mutex_);
      later = std::move(later_);
    }
    later({200, "later", "text/plain"});
  }
  // Until a request for /later has arrived.
  void AwaitParked() {
    std::unique_lock lock(mutex_);
    parked_.wait(lock, [this] { return later_ != nullptr; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable parked_;
  Respond later_;
};

class Connection {
 public:
  explicit Connection(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(port);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&name), sizeof(name)) == 0;
    const timeval limit{.tv_sec = 20, .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  }
  ~Connection() { close(fd_); }
  [[nodiscard]] bool connected() const { return connected_; }
  bool Write(const std::string& bytes) {
    return send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }
  // Everything until the server closes.
  std::string ReadAll() {
    std::string text;
    char buffer[4096];
    for (ssize_t n = 0; (n = recv(fd_, buffer, sizeof(buffer), 0)) > 0;) text.append(buffer, n);
    return text;
  }

 private:
  const int fd_;
  bool connected_ = false;
};

class HttpServerTest : public ::testing::Test {
 protected:
  HttpServerTest() {
    HttpServerOptions options;
    options.max_body_bytes = 1 << 20;
    auto server = HttpServer::Start(options, echo_);
    EXPECT_TRUE(server.ok()) << server.error().message;
    server_ = std::move(*server);
  }
  static std::string Post(const std::string& path, const std::string& headers,
                          const std::string& body) {
    return "POST " + path + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + headers + "\r\n" +
           body;
  }
  std::string Exchange(const std::string& bytes) {
    Connection connection(server_->port());
    EXPECT_TRUE(connection.connected());
    EXPECT_TRUE(connection.Write(bytes));
    return connection.ReadAll();
  }

  Echo echo_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, HandsOverBodyAndAuthorization) {
  const std::string answer =
      Exchange(Post("/", "Authorization: Bearer x\r\nContent-Length: 5\r\n", "hello"));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(answer, HasSubstr("Bearer x|5"));
}

TEST_F(HttpServerTest, ReadsChunkedBodies) {
  const std::string answer =
      Exchange(Post("/", "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"));
  EXPECT_THAT(answer, HasSubstr("|7"));
}

TEST_F(HttpServerTest, RefusesABodyOverTheBoundWith413) {
  const std::string body(3 << 20, 'x');
  EXPECT_THAT(Exchange(Post("/", "Content-Length: " + std::to_string(body.size()) + "\r\n", body)),
              StartsWith("HTTP/1.1 413"));
}

TEST_F(HttpServerTest, RefusesWhatIsNotHttp) {
  EXPECT_THAT(Exchange("\x01\x02\x03 nonsense\r\n\r\n"), StartsWith("HTTP/1.1 400"));
}

TEST_F(HttpServerTest, SurvivesClientsThatGoAwayInTheMiddle) {
  for (const std::string& bytes :
       {std::string("POST / HT"), Post("/", "Content-Length: 1000\r\n", "abc"),
        Post("/", "Transfer-Encoding: chunked\r\n", "ff\r\nabc"), Post("/later", "", "")}) {
    Connection connection(server_->port());
    ASSERT_TRUE(connection.Write(bytes));
  }
  EXPECT_THAT(Exchange(Post("/now", "", "")),
              StartsWith("HTTP/1.1 200"));  // answers a client that has gone
  EXPECT_THAT(Exchange(Post("/", "", "")), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, AnswersLaterFromAnotherRequest) {
  Connection waiting(server_->port());
  ASSERT_TRUE(waiting.Write(Post("/later", "", "")));
  echo_.AwaitParked();
  Exchange(Post("/now", "", ""));
  EXPECT_THAT(waiting.ReadAll(), HasSubstr("later"));
}

TEST_F(HttpServerTest, RefusesRequestsBeyondTheBoundAndTakesThemAgainAfterwards) {
  HttpServerOptions options;
  options.max_requests = 1;
  server_ = std::move(*HttpServer::Start(options, echo_));
  {
    Connection waiting(server_->port());
    ASSERT_TRUE(waiting.Write(Post("/later", "", "")));
    echo_.AwaitParked();
    EXPECT_THAT(Exchange(Post("/", "", "")), StartsWith("HTTP/1.1 503"));
    echo_.AnswerParked();
    EXPECT_THAT(waiting.ReadAll(), HasSubstr("later"));
  }
  std::string answer;
  for (int i = 0; i < 1000 && !answer.starts_with("HTTP/1.1 200"); ++i)
    answer = Exchange(Post("/", "", ""));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, RefusesBodiesThatAreTooMuchTogetherAndTakesThemAgainAfterwards) {
  HttpServerOptions options;
  options.max_arriving_bytes = 1 << 20;
  server_ = std::move(*HttpServer::Start(options, echo_));
  // More than the library may keep back of the other's.
  const std::string body(32 << 10, 'x');
  const auto comes_to = [&](const std::string& status) {
    for (int i = 0; i < 1000; ++i) {
      if (Exchange(Post("/", "Content-Length: 32768\r\n", body)).starts_with(status)) return true;
    }
    return false;
  };
  bool refused = false;
  // Again where some of ours was on its way when the last of the other came.
  for (int attempt = 0; attempt < 5 && !refused; ++attempt) {
    Connection slow(server_->port());
    ASSERT_TRUE(slow.Write(Post("/", "Content-Length: 2097152\r\n", std::string(1 << 20, 'x'))));
    refused = comes_to("HTTP/1.1 503");
  }
  EXPECT_TRUE(refused);
  EXPECT_TRUE(comes_to("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, TwoServersGetPortsOfTheirOwn) {
  auto second = HttpServer::Start({}, echo_);
  ASSERT_TRUE(second.ok());
  EXPECT_NE((*second)->port(), server_->port());
}

TEST_F(HttpServerTest, ATakenPortIsAUserError) {
  const int other = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(name);
  ASSERT_EQ(bind(other, reinterpret_cast<sockaddr*>(&name), size), 0);
  ASSERT_EQ(listen(other, 1), 0);
  ASSERT_EQ(getsockname(other, reinterpret_cast<sockaddr*>(&name), &size), 0);
  HttpServerOptions options;
  options.port = ntohs(name.sin_port);
  const auto second = HttpServer::Start(options, echo_);
  close(other);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kUser);
}

TEST_F(HttpServerTest, AStoppedServerReachesTheHandlerNoMore) {
  server_->Stop();
  server_->Stop();
  Connection connection(server_->port());
  if (!connection.connected()) return;
  connection.Write(Post("/", "", ""));
  EXPECT_THAT(connection.ReadAll(), ::testing::Not(HasSubstr("200 OK")));
}

}  // namespace
}  // namespace longstride
