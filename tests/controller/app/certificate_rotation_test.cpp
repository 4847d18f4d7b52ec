// The coordinators' authority from its first day until its successor stands alone: the keeper
// follows a clock that the test moves, a controller gives what it publishes to a job's pods.
#include <gmock/gmock.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <atomic>
#include <set>

#include "controller/app/certificate_keeper.h"
#include "controller/http/openssl_handles.h"
#include "controller/reconcile/labels.h"
#include "tests/controller/app/controller_fixture.h"

namespace longstride {
namespace {

using ::testing::HasSubstr;

using ContextHandle = std::unique_ptr<SSL_CTX, OpensslDeleter<SSL_CTX_free>>;
using StoreHandle = std::unique_ptr<X509_STORE, OpensslDeleter<X509_STORE_free>>;
using ChainHandle = std::unique_ptr<X509_STORE_CTX, OpensslDeleter<X509_STORE_CTX_free>>;

constexpr auto kDay = std::chrono::hours(24);

// Whether a worker whose ca.crt is `bundle` accepts what a coordinator shows at `now`.
bool Accepts(const std::string& bundle, const ServerCertificate& shown, double now) {
  const StoreHandle roots(X509_STORE_new());
  const BioHandle text(BIO_new_mem_buf(bundle.data(), static_cast<int>(bundle.size())));
  while (const X509Handle root{PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr)})
    X509_STORE_add_cert(roots.get(), root.get());
  const ContextHandle context(SSL_CTX_new(TLS_server_method()));
  if (!shown.Use(context.get())) return false;
  const ChainHandle chain(X509_STORE_CTX_new());
  X509_STORE_CTX_init(chain.get(), roots.get(), SSL_CTX_get0_certificate(context.get()), nullptr);
  X509_STORE_CTX_set_time(chain.get(), 0, static_cast<time_t>(now));
  ERR_clear_error();  // the end of the text is one
  return X509_verify_cert(chain.get()) == 1;
}

class CertificateRotation : public ControllerTest {
 protected:
  CertificateRotation() {
    days_.Advance(20'000 * kDay);  // since 1970
    options_.secret = {"operators", "longstride-ca"};
    options_.dns_names = {"longstride.operators.svc"};
    options_.period = std::chrono::milliseconds(5);
    keeper_ = StartReplica();
    options_.period = std::chrono::hours(1);
    ca_bundle_ = [this] { return keeper_->bundle(); };
    controller_ = Start();
    keeper_->OnChange([this] {
      ++changes_;
      controller_->WakeAll();
    });
    PutJob();
  }
  ~CertificateRotation() override { keeper_->OnChange(nullptr); }

  // Returns once it has looked at the Secret, and written what is due; it does not look again.
  [[nodiscard]] std::unique_ptr<CertificateKeeper> StartReplica() {
    auto keeper = CertificateKeeper::Start(options_, *client_, days_, {});
    if (!keeper.ok()) throw std::runtime_error(keeper.error().message);
    return std::move(*keeper);
  }
  // What the job's workers trust; nothing while they differ.
  [[nodiscard]] std::string Mounted() const {
    std::set<std::string> bundles;
    for (const kube::Json& pod : server_->List(kube::Pods()))
      bundles.insert(pod["metadata"]["annotations"][kCaBundleAnnotation].get<std::string>());
    return bundles.size() == 1 ? *bundles.begin() : "";
  }
  [[nodiscard]] AuthorityState Authority() const {
    const auto secret = server_->Get(kube::Secrets(), options_.secret);
    return secret ? FromSecretData(kube::ValueAt(*secret, "/data")) : AuthorityState{};
  }
  [[nodiscard]] bool Accepted(const CertificateKeeper& by, const std::string& bundle) const {
    return Accepts(bundle, *by.certificate(), days_.UnixSeconds());
  }
  // The pods hold the Secret's authorities, and with them the keeper's leaf is accepted.
  [[nodiscard]] bool Settled() const {
    return Mounted() == BundleOf(Authority()) && Accepted(*keeper_, Mounted());
  }

  ManualClock days_;
  CertificateKeeperOptions options_;
  std::unique_ptr<CertificateKeeper> keeper_;
  std::unique_ptr<Controller> controller_;
  std::atomic<int> changes_{0};
};

TEST_F(CertificateRotation, LeavesNoWorkerWithoutAnAuthorityThatItTrusts) {
  ASSERT_TRUE(Eventually([&] { return Settled(); }));
  const std::string old = Authority().signer.certificate;
  EXPECT_EQ(Mounted(), old);

  // Leaves are renewed, the authority is not.
  days_.Advance(274 * kDay);
  EXPECT_TRUE(Accepted(*StartReplica(), old));
  ASSERT_TRUE(Eventually([&] { return Accepted(*keeper_, old); }));
  EXPECT_TRUE(Authority().next.empty());
  EXPECT_EQ(changes_, 0);

  // 90 days before its end the next is published, and signs nothing yet.
  days_.Advance(kDay);
  ASSERT_TRUE(Eventually([&] { return changes_ == 1 && Settled(); }));
  const std::string next = Authority().next.certificate;
  const std::string both = Mounted();
  ASSERT_NE(next, "");
  EXPECT_THAT(both, HasSubstr(old));
  EXPECT_THAT(both, HasSubstr(next));
  days_.Advance(std::chrono::seconds(599));
  const auto slow = StartReplica();
  EXPECT_EQ(Authority().signer.certificate, old);
  for (const CertificateKeeper* each : {keeper_.get(), slow.get()})
    EXPECT_TRUE(Accepted(*each, old)) << "workers may not have got the next one yet";

  // Then it signs.
  days_.Advance(std::chrono::seconds(1));
  ASSERT_TRUE(Eventually([&] { return !Accepted(*keeper_, old); })) << "the leaf is the next one's";
  EXPECT_EQ(Authority().signer.certificate, next);
  EXPECT_EQ(Authority().previous, old);
  EXPECT_TRUE(Settled());
  EXPECT_TRUE(Accepted(*keeper_, both)) << "workers may not have got the latest bundle yet";
  EXPECT_TRUE(Accepted(*slow, Mounted())) << "this replica has not looked since";

  // The old one goes once no leaf of it can be valid.
  days_.Advance(29 * kDay);
  EXPECT_TRUE(Accepted(*StartReplica(), Mounted()));
  EXPECT_EQ(Authority().previous, old);
  EXPECT_TRUE(Accepted(*slow, Mounted()));
  days_.Advance(kDay);
  ASSERT_TRUE(Eventually([&] { return changes_ == 2 && Settled(); }));
  EXPECT_EQ(Mounted(), next);
  EXPECT_FALSE(Accepted(*slow, both)) << "its leaf has run out";
}

}  // namespace
}  // namespace longstride
