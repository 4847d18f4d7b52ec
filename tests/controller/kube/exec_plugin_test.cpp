#include "controller/kube/exec_plugin.h"

#include <gmock/gmock.h>

#include <future>
#include <thread>

#include "core/base/timestamps.h"
#include "tests/controller/kube/kube_testing.h"

namespace longstride::kube {
namespace {

using ::testing::HasSubstr;

class ExecPluginTest : public ::testing::Test {
 protected:
  // A plugin that prints `status` and counts its runs in a file.
  ExecPlugin Printing(const std::string& status) const {
    const std::string answer = folder_.Write(
        "answer", R"({"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",)"
                  R"("status":)" +
                      status + "}");
    return Running("echo run >> " + folder_.path() + "/runs\ncat " + answer + "\n");
  }
  ExecPlugin Running(const std::string& script) const {
    ExecPlugin plugin;
    plugin.command = folder_.WriteScript("plugin", script);
    return plugin;
  }
  Result<std::string> Authorize(ExecPlugin plugin) const {
    return MakeExecCredentials(std::move(plugin), nullptr, clock_)->Authorization({}, kLimit);
  }
  size_t Runs() const {
    std::ifstream file(folder_.path() + "/runs");
    size_t runs = 0;
    for (std::string line; std::getline(file, line);) ++runs;
    return runs;
  }

  TemporaryFolder folder_;
  ManualClock clock_;
};

TEST_F(ExecPluginTest, ItsTokenIsKeptUntilItIsRefused) {
  const auto credentials = MakeExecCredentials(Printing(R"({"token":"abc"})"), nullptr, clock_);
  for (int i = 0; i < 3; ++i) {
    const auto authorization = credentials->Authorization({}, kLimit);
    ASSERT_TRUE(authorization.ok()) << authorization.error().message;
    EXPECT_EQ(*authorization, "Bearer abc");
  }
  EXPECT_EQ(Runs(), 1U);
  credentials->Invalidate();
  EXPECT_TRUE(credentials->Authorization({}, kLimit).ok());
  EXPECT_EQ(Runs(), 2U);
}

TEST_F(ExecPluginTest, ItsTokenIsRenewedBeforeItExpires) {
  const auto credentials = MakeExecCredentials(
      Printing(R"({"token":"abc","expirationTimestamp":")" + FormatTime(3600) + "\"}"), nullptr,
      clock_);
  EXPECT_TRUE(credentials->Authorization({}, kLimit).ok());
  clock_.Advance(std::chrono::seconds(3589));
  EXPECT_TRUE(credentials->Authorization({}, kLimit).ok());
  EXPECT_EQ(Runs(), 1U);
  clock_.Advance(std::chrono::seconds(2));
  EXPECT_TRUE(credentials->Authorization({}, kLimit).ok());
  EXPECT_EQ(Runs(), 2U);
}

TEST_F(ExecPluginTest, GetsArgumentsEnvironmentAndClusterButNoShell) {
  ExecPlugin plugin = Running(
      R"(printf '%s|%s|%s|%s' "$1" "$2" "$EXTRA" "$KUBERNETES_EXEC_INFO" > "$0.seen"; exit 1)");
  plugin.args = {"a b", "$(echo no)"};
  plugin.env = {{"EXTRA", "value"}};
  plugin.cluster = {{"server", "https://x"}};
  const std::string seen = plugin.command + ".seen";
  EXPECT_FALSE(Authorize(plugin).ok());
  std::ifstream file(seen);
  std::string text((std::istreambuf_iterator<char>(file)), {});
  EXPECT_THAT(text, HasSubstr("a b|$(echo no)|value|"));
  EXPECT_THAT(text, HasSubstr(R"("cluster":{"server":"https://x"})"));
}

TEST_F(ExecPluginTest, ItsFailureIsToldWithItsLastWordsAndTheHint) {
  ExecPlugin plugin = Running("echo 'log in first' >&2; exit 3\n");
  plugin.install_hint = "see example.com";
  const auto failed = Authorize(plugin);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, ErrorCode::kUser);
  EXPECT_THAT(failed.error().message, HasSubstr("exit code 3: log in first"));
  EXPECT_THAT(failed.error().message, HasSubstr("see example.com"));
}

TEST_F(ExecPluginTest, ItIsKilledAtItsDeadline) {
  ExecPlugin plugin = Running("exec sleep 1000\n");
  plugin.deadline = std::chrono::milliseconds(50);
  const auto late = Authorize(plugin);
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, ErrorCode::kTransient);
}

TEST_F(ExecPluginTest, SoIsOneThatNeverStopsPrintingErrors) {
  ExecPlugin plugin = Running("exec yes >&2\n");
  plugin.deadline = std::chrono::milliseconds(50);
  const auto late = Authorize(plugin);
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, ErrorCode::kTransient);
}

TEST_F(ExecPluginTest, ItIsKilledAtTheCallsOwnLimit) {
  const auto credentials = MakeExecCredentials(Running("exec sleep 1000\n"), nullptr, clock_);
  const auto late = credentials->Authorization({}, std::chrono::milliseconds(50));
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, ErrorCode::kTransient);
}

TEST_F(ExecPluginTest, NobodyWaitsForAnothersRunLongerThanAsked) {
  const auto credentials = MakeExecCredentials(
      Running("echo run >> " + folder_.path() + "/runs\nexec sleep 1000\n"), nullptr, clock_);
  std::stop_source stop;
  auto first = std::async(std::launch::async,
                          [&] { return credentials->Authorization(stop.get_token(), kLimit); });
  while (Runs() == 0) std::this_thread::yield();
  const auto second = credentials->Authorization({}, std::chrono::milliseconds(1));
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kTransient);
  credentials->Invalidate();
  stop.request_stop();
  EXPECT_FALSE(first.get().ok());
  EXPECT_EQ(Runs(), 1U);
}

TEST_F(ExecPluginTest, ItIsKilledWhenWeStop) {
  std::stop_source stop;
  stop.request_stop();
  const auto stopped = MakeExecCredentials(Running("exec sleep 1000\n"), nullptr, clock_)
                           ->Authorization(stop.get_token(), kLimit);
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code, ErrorCode::kInterrupted);
}

TEST_F(ExecPluginTest, WhatIsNoCredentialIsRefused) {
  for (const char* script : {"echo no json\n", "echo '{}'\n",
                             R"(echo '{"apiVersion":"client.authentication.k8s.io/v1alpha1",)"
                             R"("kind":"ExecCredential","status":{"token":"x"}}')",
                             "yes | head -c 2000000\n"}) {
    const auto refused = Authorize(Running(script));
    ASSERT_FALSE(refused.ok()) << script;
    EXPECT_EQ(refused.error().code, ErrorCode::kUser) << script;
  }
  EXPECT_FALSE(Authorize(Printing("{}")).ok());
  EXPECT_FALSE(Authorize(Printing(R"({"token":"a b"})")).ok());
}

TEST_F(ExecPluginTest, AProgramThatIsNotThereIsTheUsersFault) {
  ExecPlugin plugin;
  plugin.command = "longstride-no-such-plugin";
  const auto missing = Authorize(plugin);
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message, HasSubstr("longstride-no-such-plugin"));
}

TEST_F(ExecPluginTest, ItsCertificateBecomesOurs) {
  const FakeAuthority::Identity issued = FakeAuthority("ca").IssueClient("me");
  const Json status = {{"clientCertificateData", issued.certificate_pem},
                       {"clientKeyData", issued.key_pem}};
  auto tls = TlsSource::Make({}, clock_);
  ASSERT_TRUE(tls.ok());
  const auto authorization =
      MakeExecCredentials(Printing(status.dump()), *tls, clock_)->Authorization({}, kLimit);
  ASSERT_TRUE(authorization.ok()) << authorization.error().message;
  EXPECT_EQ(*authorization, "");
}

}  // namespace
}  // namespace longstride::kube
