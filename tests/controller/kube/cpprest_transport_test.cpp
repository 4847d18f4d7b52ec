#include "controller/kube/cpprest_transport.h"

#include <gmock/gmock.h>

#include <thread>

#include "tests/controller/kube/kube_testing.h"

namespace longstride::kube {
namespace {

using ::testing::HasSubstr;

class CpprestTransportTest : public FakeApiTest {
 protected:
  std::unique_ptr<HttpTransport> Connect(TlsOptions tls) {
    auto source = TlsSource::Make(std::move(tls), clock_);
    if (!source.ok()) return nullptr;
    CpprestTransportOptions options;
    options.url = server_->url();
    options.tls = *source;
    options.max_body_bytes = 1 << 20;
    options.max_line_bytes = 4096;
    auto transport = MakeCpprestTransport(options);
    return transport.ok() ? std::move(*transport) : nullptr;
  }
  TlsOptions Trusting() const {
    TlsOptions tls;
    tls.ca_pem = server_->ca_pem();
    return tls;
  }
  static TransportRequest Get(const std::string& path, const std::string& query = "") {
    TransportRequest request;
    request.path = path;
    request.query = query;
    return request;
  }
  static TransportRequest WatchPods() {
    return Get("/api/v1/pods", "watch=true&resourceVersion=0");
  }
};

// The library's own threads put a connection back a moment after its answer is here, so a request
// that follows at once may miss it: several tries, with longer and longer pauses between requests,
// of which one must need no second connection.
TEST_F(CpprestTransportTest, SendsBodyAndHeadersAndUsesItsConnectionAgain) {
  int64_t connections = 0;
  for (int attempt = 0; attempt < 20 && connections != 1; ++attempt) {
    const int64_t before = server_->counts().connections;
    const auto transport = Connect(Trusting());
    for (int i = 0; i < 5; ++i) {
      if (i > 0) std::this_thread::sleep_for(std::chrono::milliseconds(attempt));
      TransportRequest request = Get("/api/v1/namespaces/ns/pods");
      request.method = "POST";
      request.body = MakePod("p" + std::to_string(5 * attempt + i)).dump();
      request.headers = {{"Content-Type", "application/json"}, {"User-Agent", "tester/1"}};
      const auto response = transport->Send(request, kLimit, {});
      ASSERT_TRUE(response.ok()) << response.error().message;
      EXPECT_EQ(response->status, 201);
      EXPECT_EQ(response->Header("content-TYPE"), "application/json");
    }
    connections = server_->counts().connections - before;
  }
  EXPECT_EQ(connections, 1);
}

// All of them are dead: neither the first of them nor another may be what a request fails for.
TEST_F(CpprestTransportTest, ConnectionsThatDiedWhileTheyLayIdleFailNoRequest) {
  constexpr int kConnections = 4;
  const auto transport = Connect(Trusting());
  for (int attempt = 0; attempt < 10; ++attempt) {
    std::vector<std::jthread> at_once;
    for (int i = 0; i < kConnections; ++i) {
      at_once.emplace_back([&] {
        const auto answer = transport->Send(Get("/api/v1/pods"), kLimit, {});
        EXPECT_TRUE(answer.ok()) << answer.error().message;
      });
    }
    at_once.clear();
    server_->ResetConnections();
    const auto streamed =
        transport->Stream(Get("/api/v1/pods"), [](std::string_view) { return true; }, kLimit, {});
    EXPECT_TRUE(streamed.ok()) << streamed.error().message;
    server_->ResetConnections();
    TransportRequest creation = Get("/api/v1/namespaces/ns/pods");
    creation.method = "POST";
    creation.body = MakePod("p" + std::to_string(attempt)).dump();
    const auto created = transport->Send(creation, kLimit, {});
    ASSERT_TRUE(created.ok()) << created.error().message;
    EXPECT_EQ(created->status, 201);
  }
}

TEST_F(CpprestTransportTest, TrustsOnlyTheGivenAuthority) {
  TlsOptions other;
  other.ca_pem = FakeAuthority("another").certificate_pem();
  const auto refused = Connect(other)->Send(Get("/api/v1/pods"), kLimit, {});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kUser) << refused.error().message;
  EXPECT_EQ(server_->counts().requests, 0);
  EXPECT_FALSE(Connect({})->Send(Get("/api/v1/pods"), kLimit, {}).ok()) << "the system's roots";
}

TEST_F(CpprestTransportTest, DemandsTheServerNameThatItIsGiven) {
  TlsOptions tls = Trusting();
  tls.server_name = "kube.test";
  EXPECT_TRUE(Connect(tls)->Send(Get("/api/v1/pods"), kLimit, {}).ok());
  tls.server_name = "other.test";
  const auto refused = Connect(tls)->Send(Get("/api/v1/pods"), kLimit, {});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kUser) << refused.error().message;
}

TEST_F(CpprestTransportTest, InsecureTakesAnyCertificate) {
  TlsOptions tls;
  tls.insecure = true;
  EXPECT_TRUE(Connect(tls)->Send(Get("/api/v1/pods"), kLimit, {}).ok());
}

TEST_F(CpprestTransportTest, ADeadlineEndsAWait) {
  server_->AddFault({.delay = std::chrono::hours(1)});
  const auto late =
      Connect(Trusting())->Send(Get("/api/v1/pods"), std::chrono::milliseconds(50), {});
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, ErrorCode::kTransient);
  EXPECT_THAT(late.error().message, HasSubstr("deadline"));
}

TEST_F(CpprestTransportTest, AStopTokenEndsAWait) {
  server_->AddFault({.delay = std::chrono::hours(1)});
  std::stop_source stop;
  const auto transport = Connect(Trusting());
  std::thread stopper([&] { stop.request_stop(); });
  const auto stopped = transport->Send(Get("/api/v1/pods"), kLimit, stop.get_token());
  stopper.join();
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code, ErrorCode::kInterrupted);
}

TEST_F(CpprestTransportTest, AnAnswerOverTheBoundIsRefused) {
  Json large = MakeObject(Secrets(), "ns", "c");
  large["data"] = {{"a", std::string(2 << 20, 'x')}};
  (void)server_->Put(Secrets(), large);
  const auto refused =
      Connect(Trusting())->Send(Get("/api/v1/namespaces/ns/secrets/c"), kLimit, {});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kResource);
}

// See above on the several tries and their pauses.
TEST_F(CpprestTransportTest, AnAnswerOverTheBoundIsThrownAwayAndItsConnectionUsedAgain) {
  Json large = MakeObject(Secrets(), "ns", "c");
  large["data"] = {{"a", std::string(4 << 20, 'x')}};
  (void)server_->Put(Secrets(), large);
  server_->AddFault({.times = -1, .dribble_bytes = 4096});  // it is not yet here as a whole
  int64_t connections = 0;
  for (int attempt = 0; attempt < 20 && connections != 1; ++attempt) {
    const int64_t before = server_->counts().connections;
    const auto transport = Connect(Trusting());
    for (int i = 0; i < 3; ++i) {
      if (i > 0) std::this_thread::sleep_for(std::chrono::milliseconds(attempt));
      const auto refused = transport->Send(Get("/api/v1/namespaces/ns/secrets/c"), kLimit, {});
      ASSERT_FALSE(refused.ok());
      EXPECT_EQ(refused.error().code, ErrorCode::kResource);
    }
    connections = server_->counts().connections - before;
  }
  EXPECT_EQ(connections, 1);
}

TEST_F(CpprestTransportTest, AnAnswerThatDribblesInIsPutTogether) {
  (void)server_->Put(Pods(), MakePod("a"));
  server_->AddFault({.dribble_bytes = 100});
  const auto response = Connect(Trusting())->Send(Get("/api/v1/pods"), kLimit, {});
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(Json::parse(response->body)["items"].size(), 1U);
}

TEST_F(CpprestTransportTest, StreamsLinesUntilTheSinkHasEnough) {
  for (int i = 0; i < 5; ++i) (void)server_->Put(Pods(), MakePod("p" + std::to_string(i)));
  int lines = 0;
  const auto ended =
      Connect(Trusting())
          ->Stream(WatchPods(), [&](std::string_view) { return ++lines < 3; }, kLimit, {});
  ASSERT_TRUE(ended.ok());
  EXPECT_EQ(ended->status, 200);
  EXPECT_EQ(lines, 3);
}

TEST_F(CpprestTransportTest, AStreamThatIsCutInALineIsTransientAndTheLineNotDelivered) {
  for (int i = 0; i < 3; ++i) (void)server_->Put(Pods(), MakePod("p" + std::to_string(i)));
  server_->AddFault({.watch = true, .after_events = 2});
  int lines = 0;
  const auto cut =
      Connect(Trusting())
          ->Stream(WatchPods(), [&](std::string_view) { return ++lines > 0; }, kLimit, {});
  ASSERT_FALSE(cut.ok());
  EXPECT_EQ(cut.error().code, ErrorCode::kTransient);
  EXPECT_EQ(lines, 2);
}

TEST_F(CpprestTransportTest, ARefusedStreamComesBackWithItsBody) {
  server_->AddFault({.watch = true, .status = 410});
  const auto refused =
      Connect(Trusting())->Stream(WatchPods(), [](std::string_view) { return true; }, kLimit, {});
  ASSERT_TRUE(refused.ok());
  EXPECT_EQ(refused->status, 410);
  EXPECT_THAT(refused->body, HasSubstr("Expired"));
}

TEST_F(CpprestTransportTest, ALineOverTheBoundEndsTheStream) {
  Json large = MakePod("a");
  large["spec"]["text"] = std::string(8192, 'x');
  (void)server_->Put(Pods(), large);
  const auto refused =
      Connect(Trusting())->Stream(WatchPods(), [](std::string_view) { return true; }, kLimit, {});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kResource);
}

TEST_F(CpprestTransportTest, AQuietStreamIsEndedByItsStopTokenAndByItsDeadline) {
  const auto transport = Connect(Trusting());
  std::stop_source stop;
  std::thread stopper([&] {
    (void)server_->WaitFor([&] { return server_->open_watches() == 1; });
    stop.request_stop();
  });
  const auto sink = [](std::string_view) { return true; };
  const auto stopped = transport->Stream(WatchPods(), sink, kLimit, stop.get_token());
  stopper.join();
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code, ErrorCode::kInterrupted);
  const auto late = transport->Stream(WatchPods(), sink, std::chrono::milliseconds(50), {});
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, ErrorCode::kTransient);
  EXPECT_TRUE(server_->WaitFor([&] { return server_->open_watches() == 0; }));
}

TEST_F(CpprestTransportTest, AnUnreachableServerIsTransient) {
  const auto transport = Connect(Trusting());
  server_->Pause();
  const auto refused = transport->Send(Get("/api/v1/pods"), kLimit, {});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kTransient);
  server_->Resume();
  EXPECT_TRUE(transport->Send(Get("/api/v1/pods"), kLimit, {}).ok());
}

TEST_F(CpprestTransportTest, ANewAuthorityFileIsTrustedAfterAMinute) {
  const TemporaryFolder folder;
  ManualClock clock;
  TlsOptions tls;
  tls.ca_file = folder.Write("ca.crt", FakeAuthority("old").certificate_pem());
  auto source = TlsSource::Make(tls, clock);
  ASSERT_TRUE(source.ok());
  CpprestTransportOptions options;
  options.url = server_->url();
  options.tls = *source;
  auto transport = MakeCpprestTransport(options);
  ASSERT_TRUE(transport.ok());
  EXPECT_FALSE((*transport)->Send(Get("/api/v1/pods"), kLimit, {}).ok());
  (void)folder.Write("ca.crt", server_->ca_pem());
  EXPECT_FALSE((*transport)->Send(Get("/api/v1/pods"), kLimit, {}).ok());
  clock.Advance(std::chrono::minutes(1));
  EXPECT_TRUE((*transport)->Send(Get("/api/v1/pods"), kLimit, {}).ok());
  (void)folder.Write("ca.crt", "half a file");
  clock.Advance(std::chrono::minutes(1));
  EXPECT_TRUE((*transport)->Send(Get("/api/v1/pods"), kLimit, {}).ok()) << "the last good one";
}

class ClientCertificateTest : public FakeApiTest {
 protected:
  ClientCertificateTest() : FakeApiTest({.demand_client_certificate = true}) {}
};

TEST_F(ClientCertificateTest, IsShownWhenThereIsOne) {
  EXPECT_TRUE(client_->List(Pods(), {}).ok());
  TlsOptions without;
  without.ca_pem = server_->ca_pem();
  auto source = TlsSource::Make(without, clock_);
  ASSERT_TRUE(source.ok());
  CpprestTransportOptions options;
  options.url = server_->url();
  options.tls = *source;
  auto transport = MakeCpprestTransport(options);
  ASSERT_TRUE(transport.ok());
  TransportRequest request;
  request.path = "/api/v1/pods";
  EXPECT_FALSE((*transport)->Send(request, kLimit, {}).ok());
  const FakeAuthority::Identity issued = server_->client_identity();
  EXPECT_TRUE((*source)->SetClientCertificate(issued.certificate_pem, issued.key_pem).ok());
  EXPECT_TRUE((*transport)->Send(request, kLimit, {}).ok());
}

TEST_F(ClientCertificateTest, ThatDoesNotFitItsKeyIsRefused) {
  TlsOptions tls;
  tls.client_certificate_pem = server_->client_identity().certificate_pem;
  tls.client_key_pem = server_->client_identity().key_pem;
  const auto source = TlsSource::Make(tls, clock_);
  ASSERT_FALSE(source.ok());
  EXPECT_THAT(source.error().message, HasSubstr("does not belong"));
}

TEST(CpprestTransportUrlTest, WhatIsNoUrlIsTheUsersFault) {
  for (const char* url : {"", "ftp://x", "https://", "no url at all"}) {
    CpprestTransportOptions options;
    options.url = url;
    const auto transport = MakeCpprestTransport(options);
    ASSERT_FALSE(transport.ok()) << url;
    EXPECT_EQ(transport.error().code, ErrorCode::kUser);
  }
}

}  // namespace
}  // namespace longstride::kube
