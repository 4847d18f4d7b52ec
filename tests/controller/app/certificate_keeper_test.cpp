#include "controller/app/certificate_keeper.h"

#include <gmock/gmock.h>

#include "tests/controller/kube/fake_api_server.h"

namespace longstride {
namespace {

using ::testing::HasSubstr;

TEST(CertificateKeeper, TheSecretHoldsTheWholeState) {
  AuthorityState state;
  state.signer = {"signer", "key"};
  state.next = {"next", "next key"};
  state.next_since = 1'790'000'000.25;
  state.previous = "previous";
  state.previous_until = 17;
  const AuthorityState back = FromSecretData(ToSecretData(state));
  EXPECT_EQ(ToSecretData(back), ToSecretData(state));
  EXPECT_EQ(back.next_since, state.next_since);
  EXPECT_EQ(back.previous, "previous");
  EXPECT_TRUE(FromSecretData(nullptr).signer.empty());
  EXPECT_TRUE(FromSecretData({{"ca.crt", 7}, {"ca.key", "?"}}).signer.empty());
}

class CertificateKeeperTest : public ::testing::Test {
 protected:
  CertificateKeeperTest() {
    auto started = kube::FakeApiServer::Start();
    if (!started.ok()) throw std::runtime_error(started.error().message);
    server_ = std::move(*started);
    client_ = server_->MakeClient(clock_);
    options_.secret = {"operators", "longstride-ca"};
    options_.dns_names = {"longstride.operators.svc"};
  }
  [[nodiscard]] std::unique_ptr<CertificateKeeper> Start() {
    auto keeper = CertificateKeeper::Start(options_, *client_, clock_, {});
    if (!keeper.ok()) throw std::runtime_error(keeper.error().message);
    return std::move(*keeper);
  }
  SystemClock clock_;
  std::unique_ptr<kube::FakeApiServer> server_;
  std::unique_ptr<kube::Client> client_;
  CertificateKeeperOptions options_;
};

TEST_F(CertificateKeeperTest, FillsTheEmptySecretOfTheChart) {
  server_->Put(
      kube::Secrets(),
      {{"apiVersion", "v1"},
       {"kind", "Secret"},
       {"metadata",
        {{"name", "longstride-ca"}, {"namespace", "operators"}, {"labels", {{"a", "b"}}}}}});
  const auto keeper = Start();
  EXPECT_THAT(keeper->bundle(), HasSubstr("BEGIN CERTIFICATE"));
  const auto secret = *server_->Get(kube::Secrets(), options_.secret);
  EXPECT_TRUE(secret["data"].contains("ca.key"));
  EXPECT_EQ(secret["metadata"]["labels"]["a"], "b");
}

TEST_F(CertificateKeeperTest, ReplicasShareOneAuthority) {
  const auto first = Start();
  const auto second = Start();
  EXPECT_EQ(first->bundle(), second->bundle());
  EXPECT_NE(first->certificate(), second->certificate());
}

TEST_F(CertificateKeeperTest, NamesMayBeAsLongAsServicesAndNamespacesAre) {
  options_.dns_names = {std::string(63, 's') + "." + std::string(63, 'n') + ".svc"};
  EXPECT_NE(Start()->certificate(), nullptr);
}

TEST_F(CertificateKeeperTest, AWriteWhoseAnswerIsLostCountsAsWhatTheSecretSays) {
  kube::FakeFault fault;
  fault.method = "POST";
  fault.path_contains = "secrets";
  fault.cut_after = true;
  fault.times = 2;  // the client itself tries again on a connection that it had used before
  server_->AddFault(fault);
  EXPECT_THAT(Start()->bundle(), HasSubstr("BEGIN CERTIFICATE"));
}

}  // namespace
}  // namespace longstride
