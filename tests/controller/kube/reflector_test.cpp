#include "controller/kube/reflector.h"

#include <gmock/gmock.h>

#include <map>
#include <mutex>
#include <set>

#include "core/base/random.h"
#include "tests/controller/kube/kube_testing.h"

namespace longstride::kube {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// What an observer who only hears the handlers believes there is.
class Ledger {
 public:
  CacheHandlers Handlers() {
    return {[this](const ObjectPtr& added) {
              const std::lock_guard lock(mutex_);
              EXPECT_TRUE(versions_.emplace(added->key, added->resource_version).second)
                  << "added twice: " << added->key.Text();
            },
            [this](const ObjectPtr& before, const ObjectPtr& after) {
              const std::lock_guard lock(mutex_);
              EXPECT_EQ(versions_[after->key], before->resource_version);
              versions_[after->key] = after->resource_version;
            },
            [this](const ObjectPtr& last) {
              const std::lock_guard lock(mutex_);
              EXPECT_EQ(versions_.erase(last->key), 1U) << "deleted twice: " << last->key.Text();
            }};
  }
  std::map<ObjectKey, std::string> Versions() {
    const std::lock_guard lock(mutex_);
    return versions_;
  }

 private:
  std::mutex mutex_;
  std::map<ObjectKey, std::string> versions_;
};

class ReflectorTest : public FakeApiTest {
 protected:
  explicit ReflectorTest(FakeApiOptions options = {}) : FakeApiTest(std::move(options)) {
    cache_.AddHandlers(ledger_.Handlers());
  }
  void StartReflector(ReflectorOptions options = {}) {
    options.resource = Pods();
    options.backoff.first = std::chrono::milliseconds(1);
    options.backoff.most = std::chrono::milliseconds(8);
    reflector_ = std::make_unique<Reflector>(*client_, cache_, options, clock_);
    EXPECT_TRUE(cache_.WaitSynced(kLimit, {}));
  }
  // With so many pods of about 1.3 KB each, and a client that takes no longer answers.
  void StartReflectorOf(int pods, size_t max_body_bytes) {
    for (int i = 0; i < pods; ++i) {
      (void)server_->Put(Pods(), MakeObject(Pods(), "default", "p" + std::to_string(i),
                                            {{"text", std::string(1000, 'x')}}));
    }
    client_ = server_->MakeClient(clock_, max_body_bytes);
    StartReflector();
    EXPECT_TRUE(Converges());
  }
  std::map<ObjectKey, std::string> Truth() {
    std::map<ObjectKey, std::string> versions;
    for (const Json& object : server_->List(Pods())) {
      versions[KeyOf(object)] = ResourceVersionOf(object);
    }
    return versions;
  }
  // Until the cache holds what the server holds and the handlers have told so.
  bool Converges() {
    return Eventually(
        [&] { return ledger_.Versions() == Truth() && cache_.size() == Truth().size(); });
  }
  bool Watching() {
    return server_->WaitFor([&] { return server_->open_watches() == 1; });
  }
  // The cache has no bell of its own; the server's rings at most once for a change.
  template <typename Condition>
  bool Eventually(Condition met) {
    const TimePoint until = clock_.Now() + kLimit;
    while (!met()) {
      if (clock_.Now() > until) return false;
      std::this_thread::yield();
    }
    return true;
  }

  Ledger ledger_;
  Cache cache_{KeepOnly({"/spec"})};
  std::unique_ptr<Reflector> reflector_;
};

TEST_F(ReflectorTest, ShowsWhatIsThereAndWhatComesChangesAndGoes) {
  (void)server_->Put(Pods(), MakePod("before"));
  StartReflector();
  EXPECT_TRUE(cache_.Find({"default", "before"}));
  (void)server_->Put(Pods(), MakePod("after"));
  (void)server_->Put(Pods(), MakeObject(Pods(), "default", "before", {{"n", 2}}));
  EXPECT_TRUE(Converges());
  EXPECT_EQ(cache_.Find({"default", "before"})->value["spec"]["n"], 2);
  EXPECT_TRUE(server_->Delete(Pods(), {"default", "after"}));
  EXPECT_TRUE(Converges());
  EXPECT_EQ(reflector_->counts().lists, 1);
}

TEST_F(ReflectorTest, A410AtTheWatchsBeginLeadsToANewList) {
  StartReflector();
  ASSERT_TRUE(Watching());
  server_->AddFault({.watch = true, .status = 410});
  server_->CutWatches();
  EXPECT_TRUE(Eventually([&] { return reflector_->counts().lists >= 2; }));
  (void)server_->Put(Pods(), MakePod("a"));
  EXPECT_TRUE(Converges());
}

TEST_F(ReflectorTest, AnErrorInsideTheStreamLeadsToANewList) {
  StartReflector();
  ASSERT_TRUE(Watching());
  server_->AddFault({.watch = true, .status = 410, .after_events = 1, .stream_error = true});
  server_->CutWatches();
  (void)server_->Put(Pods(), MakePod("a"));
  (void)server_->Put(Pods(), MakePod("b"));
  EXPECT_TRUE(Eventually([&] { return reflector_->counts().lists >= 2; }));
  EXPECT_TRUE(Converges());
}

TEST_F(ReflectorTest, WhatHappenedWhileHistoryWasLostIsToldByTheNewList) {
  for (const char* name : {"same", "changed", "gone"}) (void)server_->Put(Pods(), MakePod(name));
  StartReflector();
  ASSERT_TRUE(Watching());
  server_->Pause();
  (void)server_->Put(Pods(), MakeObject(Pods(), "default", "changed", {{"n", 2}}));
  (void)server_->Delete(Pods(), {"default", "gone"});
  (void)server_->Put(Pods(), MakePod("new"));
  server_->Compact();
  server_->Resume();
  EXPECT_TRUE(Converges());
  EXPECT_EQ(reflector_->counts().lists, 2);
}

TEST_F(ReflectorTest, AnOutageIsRiddenOutWithoutANewList) {
  StartReflector();
  ASSERT_TRUE(Watching());
  server_->Pause();
  (void)server_->Put(Pods(), MakePod("a"));
  EXPECT_TRUE(Eventually([&] { return reflector_->counts().failures >= 3; }));
  server_->Resume();
  EXPECT_TRUE(Converges());
  EXPECT_EQ(reflector_->counts().lists, 1);
}

TEST_F(ReflectorTest, AServerThatAnswersAgainIsNotWaitedForAsLongAsOneThatDoesNot) {
  ReflectorOptions options;
  options.resource = Pods();
  options.backoff.first = std::chrono::milliseconds(1);
  options.backoff.factor = 100;  // then a tenth of a second, ten seconds, a quarter of an hour
  options.backoff.most = std::chrono::hours(1);
  reflector_ = std::make_unique<Reflector>(*client_, cache_, options, clock_);
  ASSERT_TRUE(Watching());
  server_->AddFault({.watch = true, .cut = true});
  server_->AddFault({.watch = true, .times = 2, .status = 429});
  server_->CutWatches();
  (void)server_->Put(Pods(), MakePod("a"));
  EXPECT_TRUE(Converges());
}

TEST_F(ReflectorTest, TooManyRequestsAreRiddenOutWithoutANewList) {
  StartReflector();
  ASSERT_TRUE(Watching());
  server_->AddFault({.watch = true, .times = 3, .status = 429});
  server_->CutWatches();
  (void)server_->Put(Pods(), MakePod("a"));
  EXPECT_TRUE(Converges());
  EXPECT_EQ(reflector_->counts().lists, 1);
}

TEST_F(ReflectorTest, OtherRefusalsOfAWatchLeadToANewList) {
  StartReflector();
  ASSERT_TRUE(Watching());
  server_->AddFault({.watch = true, .status = 500});
  server_->CutWatches();
  EXPECT_TRUE(Eventually([&] { return reflector_->counts().lists >= 2; }));
}

TEST_F(ReflectorTest, AListThatFailsIsTriedAgain) {
  server_->AddFault({.watch = false, .times = 3, .status = 500});
  server_->AddFault({.watch = false, .cut = true});
  (void)server_->Put(Pods(), MakePod("a"));
  StartReflector();
  EXPECT_EQ(cache_.size(), 1U);
}

TEST_F(ReflectorTest, AListThatIsTooLongForOneAnswerIsReadInPagesFromThenOn) {
  StartReflectorOf(1000, 1 << 20);
  EXPECT_EQ(reflector_->counts().failures, 1);
  EXPECT_EQ(server_->counts().by_verb["list"], 1 + 2);
  ASSERT_TRUE(Watching());
  server_->AddFault({.watch = true, .status = 500});
  server_->CutWatches();
  EXPECT_TRUE(Eventually([&] { return reflector_->counts().lists == 3; }));
  // The list is over once the watch from its version has begun.
  ASSERT_TRUE(server_->WaitFor([&] { return server_->counts().by_verb["watch"] == 2; }));
  EXPECT_EQ(server_->counts().by_verb["list"], 1 + 2 + 2);
}

TEST_F(ReflectorTest, PagesThatAreTooLongAreHalvedUntilTheyFit) {
  StartReflectorOf(200, 64 << 10);
}

TEST_F(ReflectorTest, StopsAtOnceInTheMiddleOfAQuietWatch) {
  StartReflector();
  ASSERT_TRUE(Watching());
  reflector_->Stop();
  EXPECT_TRUE(server_->WaitFor([&] { return server_->open_watches() == 0; }));
}

class PagedReflectorTest : public ReflectorTest {
 protected:
  PagedReflectorTest() : ReflectorTest({.pages_any_version = true}) {}
};

TEST_F(PagedReflectorTest, TakesAllPagesOfAServerThatPagesAnyVersion) {
  StartReflectorOf(1200, 1 << 20);
  EXPECT_EQ(reflector_->counts().failures, 0);
  EXPECT_EQ(server_->counts().by_verb["list"], 3);
}

class BookmarkTest : public ReflectorTest {
 protected:
  BookmarkTest() : ReflectorTest({.bookmark_period = std::chrono::milliseconds(5)}) {}
};

TEST_F(BookmarkTest, AWatchResumesFromItsLastBookmarkThoughHistoryBeforeItIsLost) {
  StartReflector();
  ASSERT_TRUE(Watching());
  for (int i = 0; i < 10; ++i)
    (void)server_->Put(Secrets(), MakeObject(Secrets(), "ns", std::to_string(i)));
  // The watch has no other events. The next bookmark that is counted may have been begun before the
  // last secret was there, the one after that was not.
  const int64_t made = server_->counts().bookmarks;
  EXPECT_TRUE(Eventually([&] { return reflector_->counts().events >= made + 2; }));
  server_->Compact();
  server_->CutWatches();
  (void)server_->Put(Pods(), MakePod("a"));
  EXPECT_TRUE(Converges());
  EXPECT_EQ(reflector_->counts().lists, 1);
}

// The rules about versions, without a server: what was asked for, in order.
class VersionsTransport final : public HttpTransport {
 public:
  // `refusal` answers the second list.
  explicit VersionsTransport(TransportResponse refusal) : refusal_(std::move(refusal)) {}
  Result<TransportResponse> Send(const TransportRequest& request, Duration,
                                 std::stop_token) override {
    Note(request);
    const std::lock_guard lock(mutex_);
    ++lists_;
    if (lists_ == 2) return refusal_;
    return Answer(200, R"({"metadata":{"resourceVersion":")" + std::to_string(lists_ * 10) +
                           R"("},"items":[]})");
  }
  Result<TransportResponse> Stream(const TransportRequest& request, const LineSink& sink, Duration,
                                   std::stop_token stop) override {
    Note(request);
    const std::lock_guard lock(mutex_);
    ++watches_;
    if (watches_ == 1) {
      (void)sink(R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"15"}}})");
      return Answer(200, "");
    }
    if (watches_ == 2) return TransientError("refused");
    if (watches_ == 3) {
      (void)sink(R"({"type":"ERROR","object":{"code":410,"reason":"Expired"}})");
      return Answer(200, "");
    }
    std::mutex own;
    std::condition_variable_any never;
    std::unique_lock own_lock(own);
    never.wait(own_lock, stop, [] { return false; });
    return InterruptedError("stopped");
  }
  std::vector<std::string> asked() {
    const std::lock_guard lock(asked_mutex_);
    return asked_;
  }
  std::string first_watch() {
    const std::lock_guard lock(asked_mutex_);
    return first_watch_;
  }

 private:
  static TransportResponse Answer(int status, std::string body) {
    TransportResponse response;
    response.status = status;
    response.body = std::move(body);
    return response;
  }
  void Note(const TransportRequest& request) {
    const bool watch = request.query.find("watch=true") != std::string::npos;
    const std::string field = "resourceVersion=";
    const size_t at = request.query.find(field);
    std::string version;
    if (at != std::string::npos) {
      const size_t begin = at + field.size();
      version = request.query.substr(begin, request.query.find('&', begin) - begin);
    }
    const std::lock_guard lock(asked_mutex_);
    asked_.push_back((watch ? "watch " : "list ") + version);
    if (watch && first_watch_.empty()) first_watch_ = request.query;
  }

  const TransportResponse refusal_;
  std::mutex mutex_;
  std::mutex asked_mutex_;
  std::vector<std::string> asked_;
  std::string first_watch_;
  int lists_ = 0;
  int watches_ = 0;
};

class ReflectorVersionsTest : public ::testing::TestWithParam<TransportResponse> {};

TEST_P(ReflectorVersionsTest, FollowTheRulesOfClientGo) {
  const SystemClock clock;
  auto transport = std::make_shared<VersionsTransport>(GetParam());
  Client client(transport, nullptr, {.requests_per_second = 1e6, .burst = 1e6}, clock);
  Cache cache(KeepOnly({}));
  ReflectorOptions options;
  options.resource = Pods();
  options.backoff.first = std::chrono::milliseconds(1);
  options.shortest_watch = std::chrono::milliseconds(1);
  Reflector reflector(client, cache, options, clock);
  const std::vector<std::string> expected = {
      "list 0",   "watch 10", "watch 15",  // from the bookmark
      "watch 15",                          // refused: the same again
      "list 15",                           // expired in the stream: the last that was seen
      "list ",                             // that one is not there, either: the newest
      "watch 30"};
  const TimePoint until = clock.Now() + kLimit;
  while (transport->asked().size() < expected.size() && clock.Now() < until) {
    std::this_thread::yield();
  }
  reflector.Stop();
  EXPECT_EQ(transport->asked(), expected);
  EXPECT_THAT(transport->first_watch(), ::testing::HasSubstr("allowWatchBookmarks=true"));
  const std::string query = transport->first_watch();
  const size_t at = query.find("timeoutSeconds=");
  ASSERT_NE(at, std::string::npos);
  const int seconds = std::stoi(query.substr(at + 15));
  EXPECT_GE(seconds, 300);
  EXPECT_LE(seconds, 600);
}

INSTANTIATE_TEST_SUITE_P(
    NoSuchVersion, ReflectorVersionsTest,
    ::testing::Values(
        TransportResponse{410, {}, R"({"reason":"Expired"})"},
        // Of a server that was restored from a backup.
        TransportResponse{
            504,
            {},
            R"({"reason":"Timeout","details":{"causes":[{"reason":"ResourceVersionTooLarge"}]}})"}));

// Fifty cuts, at random places of random histories, mixed with refusals, errors in the stream, lost
// history and outages: in the end nothing was missed, and no handler heard of anything twice.
class ReflectorScheduleTest : public ReflectorTest,
                              public ::testing::WithParamInterface<uint64_t> {};

TEST_P(ReflectorScheduleTest, MissesNothingAcross50CutWatches) {
  SeededRandom random(GetParam());
  const auto act = [&] {
    const std::string name = "p" + std::to_string(random.NextBelow(20));
    if (random.NextBelow(4) == 0) {
      (void)server_->Delete(Pods(), {"default", name});
    } else {
      (void)server_->Put(Pods(),
                         MakeObject(Pods(), "default", name, {{"n", random.NextBelow(1000)}}));
    }
  };
  for (int i = 0; i < 30; ++i) act();
  StartReflector();
  for (int cut = 0; cut < 50; ++cut) {
    FakeFault fault;
    fault.watch = true;
    switch (random.NextBelow(6)) {
      case 0:
        fault.status = 429;
        break;
      case 1:
        fault.status = 410;
        fault.stream_error = true;
        fault.after_events = static_cast<int>(random.NextBelow(5));
        break;
      case 2:
        fault.status = 500;
        break;
      case 3:
        server_->Compact();
        [[fallthrough]];
      default:
        fault.after_events = static_cast<int>(random.NextBelow(5));  // cut in a line
    }
    server_->AddFault(fault);
    server_->CutWatches();
    for (uint64_t i = random.NextBelow(20); i > 0; --i) act();
    if (random.NextBelow(10) == 0) {
      server_->Pause();
      act();
      server_->Resume();
    }
    if (random.NextBelow(5) == 0) {
      EXPECT_TRUE(Converges()) << "after cut " << cut;
    }
  }
  server_->ClearFaults();
  server_->CutWatches();
  EXPECT_TRUE(Converges());
}

INSTANTIATE_TEST_SUITE_P(Seeds, ReflectorScheduleTest, ::testing::Range<uint64_t>(1, 6));

}  // namespace
}  // namespace longstride::kube
