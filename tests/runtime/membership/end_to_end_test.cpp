// The coordinator's server and the workers' client on loopback, in one process: what the worker
// program does, without training.
#include <gmock/gmock.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <thread>

#include "controller/http/certificates.h"
#include "controller/http/coordinator_server.h"
#include "core/spec/to_json.h"
#include "runtime/membership/control_channel.h"
#include "runtime/membership/coordinator_store.h"
#include "runtime/membership/membership.h"
#include "tests/controller/coordinator/samples.h"

namespace longstride {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

class EndToEnd : public ::testing::Test {
 protected:
  void Host(int64_t replicas, CoordinatorOptions options = {}) {
    auto server = CoordinatorServer::Start({}, clock_);
    ASSERT_TRUE(server.ok()) << server.error().message;
    server_ = std::move(*server);
    options.job = MakeJob(replicas);
    const Status added =
        server_->service().AddJob(key_, "secret", ToJson(options.job).dump(), options);
    ASSERT_TRUE(added.ok()) << added.error().message;
  }

  std::shared_ptr<CoordinatorClient> Client(const std::string& token = "secret") {
    return MakeHttpCoordinatorClient({server_->UrlOf(key_), token});
  }

  // Events up to and including the end of the job.
  std::vector<Event> EventsToTheEnd() {
    std::vector<Event> all;
    const TimePoint until = clock_.Now() + seconds(30);
    while (Of<EndedEvent>(all).empty() && clock_.Now() < until) {
      for (Event& e : server_->service().WaitForEvents(key_, seconds(1)))
        all.push_back(std::move(e));
    }
    return all;
  }

  const SystemClock clock_{};
  const JobKey key_{"default", "demo"};
  std::unique_ptr<CoordinatorServer> server_;
};

const std::function<bool()> kNever = [] { return false; };

// One worker's life: join, rendezvous, three rounds, leave. Returns its rank.
int64_t RunWorker(std::shared_ptr<CoordinatorClient> client, int64_t index, int64_t rounds) {
  const auto job = client->FetchJob();
  EXPECT_TRUE(job.ok()) << job.error().message;
  const JoinRequest join = MakeJoin(index);
  const Status joined = client->Join(join);
  EXPECT_TRUE(joined.ok()) << joined.error().message;
  QueuedControlChannel channel(client, join, nullptr);
  const auto generation = client->AwaitGeneration(join.worker, {}, 0, "", kNever);
  EXPECT_TRUE(generation.ok()) << generation.error().message;
  channel.Enter(*generation, 0);
  EXPECT_EQ(channel.Plans().size(), 1u);

  const auto size = static_cast<int64_t>(generation->members.size());
  CoordinatorStore store(client, generation->id, size);
  const auto rank = static_cast<uint8_t>(generation->rank);
  EXPECT_TRUE(store.Set("rank/" + std::to_string(rank), {rank, 0, 255}).ok());
  for (uint8_t peer = 0; peer < size; ++peer) {
    const auto value = store.Get("rank/" + std::to_string(peer), seconds(20));
    EXPECT_EQ(value.ok() ? *value : std::vector<uint8_t>{}, (std::vector<uint8_t>{peer, 0, 255}));
  }
  for (int64_t round = 1; round <= rounds; ++round) {
    channel.Report(MakeReport(generation->id, round, generation->rank, size));
  }
  EXPECT_TRUE(channel.Flush(seconds(20)).ok());
  EXPECT_TRUE(client->Leave({join.worker, generation->id, rounds, 0, "completed"}).ok());
  return generation->rank;
}

TEST_F(EndToEnd, FourWorkersJoinMeetReportAndLeave) {
  Host(4);
  std::vector<std::thread> workers;
  std::vector<int64_t> ranks(4, -1);
  for (int64_t i = 0; i < 4; ++i) {
    workers.emplace_back([&, i] { ranks[i] = RunWorker(Client(), i, 3); });
  }
  for (std::thread& worker : workers) worker.join();
  EXPECT_THAT(ranks, ::testing::ElementsAre(0, 1, 2, 3));

  const std::vector<Event> events = EventsToTheEnd();
  EXPECT_EQ(Of<JoinedEvent>(events).size(), 4u);
  EXPECT_EQ(Of<GenerationFormedEvent>(events).size(), 1u);
  const auto rounds = Of<RoundCommittedEvent>(events);
  ASSERT_EQ(rounds.size(), 3u);
  EXPECT_EQ(rounds[2].record.common().cursor_end, 3 * 1024);
  EXPECT_EQ(rounds[2].record.reports[3].rank, 3);
  EXPECT_GT(rounds[2].record.unix_seconds, 0);
  ASSERT_EQ(Of<EndedEvent>(events).size(), 1u);
  EXPECT_EQ(Of<EndedEvent>(events)[0].end.outcome, JobOutcome::kCompleted);
}

// A server with a certificate, and a file of the authorities that its clients trust.
class OverTls : public EndToEnd {
 protected:
  void SetUp() override {
    clock_now_ = clock_.UnixSeconds();
    authority_ = *MakeAuthority("one", Days(300));
    certificate_ = *ServerCertificate::Make(Leaf(authority_));
    Trust(authority_.certificate);
    HttpServerOptions options;
    options.certificate = certificate_;
    auto server = CoordinatorServer::Start(options, clock_);
    ASSERT_TRUE(server.ok()) << server.error().message;
    server_ = std::move(*server);
    CoordinatorOptions coordinator;
    coordinator.job = MakeJob(2);
    ASSERT_TRUE(server_->service()
                    .AddJob(key_, "secret", ToJson(coordinator.job).dump(), coordinator)
                    .ok());
  }
  void TearDown() override { std::remove(ca_file_.c_str()); }
  [[nodiscard]] Validity Days(double days) const {
    return {clock_now_ - 300, clock_now_ + days * 86400};
  }
  [[nodiscard]] CertificateAndKey Leaf(const CertificateAndKey& authority,
                                       const std::string& address = "127.0.0.1") const {
    return *MakeLeaf(authority, {"coordinator", {}, {address}, Days(30)});
  }
  void Trust(const std::string& bundle) { std::ofstream(ca_file_) << bundle; }
  std::shared_ptr<CoordinatorClient> TlsClient() {
    return MakeHttpCoordinatorClient({server_->UrlOf(key_), "secret", "", ca_file_});
  }
  static Result<HeartbeatReply> Ask(CoordinatorClient& client) {
    return client.Heartbeat({MakeJoin(0).worker, {}, 0});
  }
  // One attempt.
  static bool Reaches(CoordinatorClient& client) { return Ask(client).ok(); }
  // Again while no answer comes in time, which says nothing about certificates: a refused one is
  // another error.
  bool ReachesInTheEnd(CoordinatorClient& client) {
    const auto late = [](const Error& error) {
      return error.message.find("did not answer in time") != std::string::npos;
    };
    const TimePoint until = clock_.Now() + std::chrono::minutes(1);
    auto reply = Ask(client);
    while (!reply.ok() && late(reply.error()) && clock_.Now() < until) reply = Ask(client);
    return reply.ok();
  }

  double clock_now_ = 0;
  const std::string ca_file_ =
      ::testing::TempDir() + "longstride-ca-" + std::to_string(getpid()) + ".pem";
  CertificateAndKey authority_;
  std::shared_ptr<ServerCertificate> certificate_;
};

TEST_F(OverTls, AWorkerLivesOverHttps) {
  EXPECT_THAT(server_->UrlOf(key_), HasSubstr("https://"));
  const auto job = TlsClient()->FetchJob();
  ASSERT_TRUE(job.ok()) << job.error().message;
  EXPECT_TRUE(TlsClient()->Join(MakeJoin(0)).ok());
}

TEST_F(OverTls, AServerThatNobodyTrustedSignedForIsNotSpokenTo) {
  const CertificateAndKey stranger = *MakeAuthority("stranger", Days(300));
  Trust(stranger.certificate);
  EXPECT_FALSE(Reaches(*TlsClient()));
}

TEST_F(OverTls, ACertificateForAnotherAddressIsRefused) {
  ASSERT_TRUE(certificate_->Replace(Leaf(authority_, "10.1.2.3")).ok());
  EXPECT_FALSE(Reaches(*TlsClient()));
}

TEST_F(OverTls, AClientFollowsARotationThroughTheBundleFile) {
  const auto client = TlsClient();
  ASSERT_TRUE(ReachesInTheEnd(*client));
  const CertificateAndKey next = *MakeAuthority("two", Days(300));
  Trust(authority_.certificate + next.certificate);
  ASSERT_TRUE(certificate_->Replace(Leaf(next)).ok());
  EXPECT_TRUE(ReachesInTheEnd(*client)) << "on its old connection or a new one";
  EXPECT_TRUE(ReachesInTheEnd(*TlsClient())) << "a new connection sees the new certificate";
  Trust(next.certificate);
  EXPECT_TRUE(ReachesInTheEnd(*TlsClient()));
  Trust(authority_.certificate);
  EXPECT_FALSE(Reaches(*TlsClient())) << "the old certificate is not shown any more";
}

TEST_F(EndToEnd, ATokenFileIsReadAgainWhenTheTokenIsRefused) {
  Host(1);
  const std::string path = ::testing::TempDir() + "longstride-token-" + std::to_string(getpid());
  std::ofstream(path) << "outdated";
  const auto client = MakeHttpCoordinatorClient({server_->UrlOf(key_), "", path, ""});
  EXPECT_EQ(client->Join(MakeJoin(0)).error().code, ErrorCode::kUser);
  std::ofstream(path) << "secret";
  EXPECT_TRUE(client->Join(MakeJoin(0)).ok());
  std::remove(path.c_str());
}

TEST_F(EndToEnd, AWrongTokenIsAUserErrorAtOnce) {
  Host(1);
  const Status joined = Client("guess")->Join(MakeJoin(0));
  ASSERT_FALSE(joined.ok());
  EXPECT_EQ(joined.error().code, ErrorCode::kUser);
  EXPECT_THAT(joined.error().message, HasSubstr("token"));
}

TEST_F(EndToEnd, SurvivorsHearOfALostWorkerThroughTheirHeartbeats) {
  Host(2);
  auto client = Client();
  ASSERT_TRUE(client->Join(MakeJoin(0)).ok());
  ASSERT_TRUE(client->Join(MakeJoin(1)).ok());
  std::mutex mutex;
  std::condition_variable told;
  std::optional<HeartbeatReply> over;
  QueuedControlChannel survivor(
      client, MakeJoin(0),
      [&](const HeartbeatReply& reply) {
        const std::lock_guard lock(mutex);
        over = reply;
        told.notify_all();
      },
      nullptr, std::chrono::milliseconds(20));
  const auto generation = client->AwaitGeneration(MakeJoin(0).worker, {}, 0, "", kNever);
  ASSERT_TRUE(generation.ok()) << generation.error().message;
  survivor.Enter(*generation, 0);
  server_->service().WithJob(key_, [](Coordinator& coordinator, TimePoint now) {
    coordinator.WorkerExited("worker", 1, 137, "was killed by signal 9", true, now);
  });
  std::unique_lock lock(mutex);
  ASSERT_TRUE(told.wait_for(lock, seconds(20), [&] { return over.has_value(); }));
  EXPECT_EQ(over->state, MemberState::kReform);
  EXPECT_THAT(over->reason, HasSubstr("worker worker-1"));
  EXPECT_THAT(over->reason, HasSubstr("signal 9"));
  lock.unlock();
  const auto next =
      client->AwaitGeneration(MakeJoin(0).worker, generation->id, 0, "a peer is gone", kNever);
  ASSERT_TRUE(next.ok()) << next.error().message;
  EXPECT_EQ(next->members.size(), 1u);
  EXPECT_GT(next->id, generation->id);
}

TEST_F(EndToEnd, AStopReachesTheEngineThroughTheChannel) {
  Host(1);
  auto client = Client();
  ASSERT_TRUE(client->Join(MakeJoin(0)).ok());
  QueuedControlChannel channel(client, MakeJoin(0), nullptr);
  const auto generation = client->AwaitGeneration(MakeJoin(0).worker, {}, 0, "", kNever);
  ASSERT_TRUE(generation.ok());
  channel.Enter(*generation, 0);
  EXPECT_EQ(channel.Requested(), BoundaryRequest::kNone);
  server_->service().WithJob(key_, [](Coordinator& c, TimePoint) { c.RequestStop("suspended"); });
  channel.Report(MakeReport(generation->id, 1, 0, 1));
  ASSERT_TRUE(channel.Flush(seconds(20)).ok());
  EXPECT_EQ(channel.Requested(), BoundaryRequest::kStop);
  EXPECT_EQ(channel.stop_reason(), "suspended");
}

TEST_F(EndToEnd, AwaitingAGenerationEndsWhenTheWorkerIsStopped) {
  Host(2);
  auto client = Client();
  ASSERT_TRUE(client->Join(MakeJoin(0)).ok());
  std::atomic<int> looks{0};
  const auto generation =
      client->AwaitGeneration(MakeJoin(0).worker, {}, 0, "", [&] { return ++looks >= 3; });
  ASSERT_FALSE(generation.ok());
  EXPECT_EQ(generation.error().code, ErrorCode::kInterrupted);
}

TEST_F(EndToEnd, APlanOnlyJobEndsWellForItsWorkers) {
  CoordinatorOptions options;
  options.mode = CoordinatorMode::kPlanOnly;
  Host(1, options);
  auto client = Client();
  ASSERT_TRUE(client->Join(MakeJoin(0)).ok());
  const auto generation = client->AwaitGeneration(MakeJoin(0).worker, {}, 0, "", kNever);
  ASSERT_FALSE(generation.ok());
  EXPECT_EQ(generation.error().code, ErrorCode::kInterrupted);
  const auto plans = Of<PlanIssuedEvent>(EventsToTheEnd());
  ASSERT_EQ(plans.size(), 1u);
  EXPECT_EQ(plans[0].prediction->batches, std::vector<int64_t>{32});
}

TEST_F(EndToEnd, ReportsWaitWhileTheCoordinatorCannotBeReached) {
  Host(1);
  auto client = Client();
  ASSERT_TRUE(client->Join(MakeJoin(0)).ok());
  const auto generation = client->AwaitGeneration(MakeJoin(0).worker, {}, 0, "", kNever);
  ASSERT_TRUE(generation.ok());
  server_.reset();
  QueuedControlChannel channel(client, MakeJoin(0), nullptr);
  channel.Enter(*generation, 0);
  channel.Report(MakeReport(generation->id, 1, 0, 1));
  EXPECT_EQ(channel.Flush(std::chrono::milliseconds(100)).error().code, ErrorCode::kTransient);
  EXPECT_EQ(channel.Plans().size(), 1u);  // and training goes on under the plan that it has
}

TEST_F(EndToEnd, AStoreReadTimesOutAsTransient) {
  Host(1);
  auto client = Client();
  ASSERT_TRUE(client->Join(MakeJoin(0)).ok());
  const auto generation = client->AwaitGeneration(MakeJoin(0).worker, {}, 0, "", kNever);
  ASSERT_TRUE(generation.ok());
  CoordinatorStore store(client, generation->id, 1);
  const auto value = store.Get("nobody sets this", std::chrono::milliseconds(150));
  ASSERT_FALSE(value.ok());
  EXPECT_EQ(value.error().code, ErrorCode::kTransient);
}

}  // namespace
}  // namespace longstride
