#include "controller/http/certificates.h"

#include <gmock/gmock.h>

#include "controller/http/server_certificate.h"

namespace longstride {
namespace {

using ::testing::HasSubstr;

constexpr double kNow = 1.8e9;
constexpr double kDay = 86400;

CertificateAndKey Authority(const std::string& name = "test") {
  auto made = MakeAuthority(name, {kNow - 300, kNow + 365 * kDay});
  EXPECT_TRUE(made.ok()) << made.error().message;
  return made.ok() ? *made : CertificateAndKey{};
}

size_t CountCertificates(const std::string& bundle) {
  size_t count = 0;
  for (size_t at = 0; (at = bundle.find("BEGIN CERTIFICATE", at)) != bundle.npos; ++at) ++count;
  return count;
}

TEST(Certificates, ALeafIsSignedForItsNamesAndItsTime) {
  const auto leaf = MakeLeaf(Authority(), {"longstride",
                                           {"longstride.longstride-system.svc"},
                                           {"127.0.0.1", "::1"},
                                           {kNow, kNow + 30 * kDay}});
  ASSERT_TRUE(leaf.ok()) << leaf.error().message;
  EXPECT_TRUE(CheckPair(*leaf).ok());
  const auto validity = ValidityOf(leaf->certificate);
  ASSERT_TRUE(validity.ok());
  EXPECT_EQ(validity->not_before, kNow);
  EXPECT_EQ(validity->not_after, kNow + 30 * kDay);
}

TEST(Certificates, RefusesWhatDoesNotFit) {
  const CertificateAndKey one = Authority(), other = Authority();
  EXPECT_THAT(CheckPair({one.certificate, other.key}).error().message, HasSubstr("not the"));
  EXPECT_FALSE(CheckPair({"", one.key}).ok());
  EXPECT_FALSE(MakeLeaf({one.certificate, other.key}, {}).ok());
  EXPECT_FALSE(MakeLeaf(one, {"x", {}, {"not an address"}, {kNow, kNow + 1}}).ok());
  EXPECT_THAT(MakeLeaf(one, {"test", {}, {"::1"}, {kNow, kNow + 1}}).error().message,
              HasSubstr("name of its authority"));
  EXPECT_FALSE(ServerCertificate::Make({"junk", "junk"}).ok());
}

TEST(Certificates, AServersCertificateStaysWhenItsReplacementIsBroken) {
  const CertificateAndKey good = Authority();
  const auto server = ServerCertificate::Make(good);
  ASSERT_TRUE(server.ok());
  EXPECT_FALSE((*server)->Replace({"junk", good.key}).ok());
  EXPECT_TRUE((*server)->Replace(Authority("next")).ok());
}

TEST(AuthorityRotation, BeginsWithAnAuthorityAndKeepsIt) {
  const auto first = Advance({}, {}, kNow);
  ASSERT_TRUE(first.ok()) << first.error().message;
  EXPECT_TRUE(CheckPair(first->signer).ok());
  const auto later = Advance(*first, {}, kNow + 100 * kDay);
  ASSERT_TRUE(later.ok());
  EXPECT_EQ(later->signer.certificate, first->signer.certificate);
  EXPECT_EQ(CountCertificates(BundleOf(*later)), 1u);
}

TEST(AuthorityRotation, PublishesTheNextBeforeItSignsAndTrustsTheLastUntilItsLeavesAreGone) {
  AuthorityState state = *Advance({}, {}, kNow);
  const std::string old = state.signer.certificate;
  double now = kNow + 300 * kDay;
  state = *Advance(state, {}, now);
  EXPECT_EQ(state.signer.certificate, old);
  ASSERT_FALSE(state.next.empty());
  EXPECT_EQ(CountCertificates(BundleOf(state)), 2u);
  const std::string next = state.next.certificate;

  state = *Advance(state, {}, now + 599);
  EXPECT_EQ(state.signer.certificate, old) << "clients may not trust the next one yet";
  now += 600;
  state = *Advance(state, {}, now);
  EXPECT_EQ(state.signer.certificate, next);
  EXPECT_THAT(BundleOf(state), HasSubstr(old));

  state = *Advance(state, {}, now + 31 * kDay);
  EXPECT_EQ(BundleOf(state), next);
}

TEST(AuthorityRotation, ReplacesASignerThatIsExpiredOrUnreadableAtOnce) {
  const AuthorityState state = *Advance({}, {}, kNow);
  const AuthorityState expired = *Advance(state, {}, kNow + 366 * kDay);
  EXPECT_NE(expired.signer.certificate, state.signer.certificate);
  AuthorityState broken = state;
  broken.signer.key = "junk";
  EXPECT_TRUE(CheckPair(Advance(broken, {}, kNow)->signer).ok());
}

}  // namespace
}  // namespace longstride
