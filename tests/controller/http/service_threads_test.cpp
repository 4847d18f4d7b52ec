// The service under many threads at once, without the HTTP library, so that the thread sanitizer
// sees all.
#include <gmock/gmock.h>

#include <atomic>
#include <future>
#include <thread>

#include "controller/http/coordinator_service.h"
#include "core/protocol/json.h"
#include "tests/controller/coordinator/samples.h"

namespace longstride {
namespace {

constexpr int64_t kWorkers = 6;
constexpr int64_t kRounds = 20;
const JobKey kKey{"default", "demo"};

HttpResponse Ask(CoordinatorService& service, const std::string& verb, const std::string& body) {
  auto answer = std::make_shared<std::promise<HttpResponse>>();
  std::future<HttpResponse> future = answer->get_future();
  service.Handle({"POST", "/v1/jobs/default/demo/" + verb, "Bearer secret", body},
                 [answer](HttpResponse response) { answer->set_value(std::move(response)); });
  return future.get();
}

void Live(CoordinatorService& service, int64_t index) {
  const WorkerId worker = MakeJoin(index).worker;
  EXPECT_EQ(Ask(service, "join", ToJsonText(MakeJoin(index))).status, 200);
  const auto reply = ParseGenerationReply(
      Ask(service, "generation", ToJsonText(GenerationRequest{worker, {}, 0, "", 20})).body);
  ASSERT_TRUE(reply.ok() && reply->generation);
  const GenerationId id = reply->generation->id;
  Ask(service, "store/set", ToJsonText(StoreSetRequest{id, std::to_string(index), {1}}));
  const auto keys = ParseStoreReply(
      Ask(service, "store/read", ToJsonText(StoreReadRequest{id, kWorkers, 20})).body);
  ASSERT_TRUE(keys.ok());
  EXPECT_EQ(keys->entries.size(), static_cast<size_t>(kWorkers));
  for (int64_t round = 1; round <= kRounds; ++round) {
    const RoundReport report = MakeReport(id, round, reply->generation->rank, kWorkers);
    EXPECT_EQ(Ask(service, "report", ToJsonText(ReportRequest{worker, report})).status, 200);
    Ask(service, "heartbeat", ToJsonText(HeartbeatRequest{worker, id, round}));
  }
  // A report is answered after a while though others are late, so the last round may be open.
  const std::string leave = ToJsonText(LeaveRequest{worker, id, kRounds, 0, "completed"});
  int status = 503;
  while (status == 503) status = Ask(service, "leave", leave).status;
  EXPECT_EQ(status, 200);
}

TEST(ServiceThreads, WorkersTickerAndHostMayAllCallAtOnce) {
  const SystemClock clock{};
  CoordinatorService service(clock);
  CoordinatorOptions options;
  options.job = MakeJob(kWorkers);
  options.heartbeat_limit = std::chrono::seconds(60);  // none is to be lost
  ASSERT_TRUE(service.AddJob(kKey, "secret", "{}", options).ok());
  std::atomic<bool> stop{false};
  std::thread ticker([&] {
    while (!stop) service.Tick();
  });
  std::vector<std::thread> workers;
  for (int64_t i = 0; i < kWorkers; ++i) workers.emplace_back([&, i] { Live(service, i); });
  std::vector<Event> events;
  while (Of<EndedEvent>(events).empty() && !HasFatalFailure()) {
    for (Event& e : service.WaitForEvents(kKey, std::chrono::seconds(20))) {
      events.push_back(std::move(e));
    }
    service.WithJob(kKey, [](Coordinator& c, TimePoint) { EXPECT_GE(c.ledger().round(), 0); });
  }
  for (std::thread& worker : workers) worker.join();
  stop = true;
  ticker.join();
  ASSERT_FALSE(HasFatalFailure());
  EXPECT_EQ(Of<RoundCommittedEvent>(events).size(), static_cast<size_t>(kRounds));
  EXPECT_EQ(Of<EndedEvent>(events)[0].end.outcome, JobOutcome::kCompleted);
}

}  // namespace
}  // namespace longstride
