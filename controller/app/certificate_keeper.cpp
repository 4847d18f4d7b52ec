#include "controller/app/certificate_keeper.h"

#include <condition_variable>

#include "core/base/log.h"
#include "core/protocol/base64.h"

namespace longstride {
namespace {

using nlohmann::json;

constexpr int kTries = 5;
// Whom it is for is said by its alternative names: a common name has 64 bytes at most. It must not
// be the authority's, or the certificate passes for a self-signed one.
constexpr const char* kLeafName = "longstride coordinator";
constexpr double kLeafSpare = 0.3;  // of its life, at which a leaf is replaced
// Clocks of nodes differ a little.
constexpr double kSkew = 300;
constexpr Duration kCallDeadline = std::chrono::seconds(10);

std::string Encoded(const std::string& text) {
  return EncodeBase64({text.begin(), text.end()});
}

std::string Decoded(const json& data, const char* key) {
  if (!data.is_object() || !data.contains(key) || !data[key].is_string()) return "";
  const auto bytes = DecodeBase64(data[key].get<std::string>());
  return bytes ? std::string(bytes->begin(), bytes->end()) : "";
}

}  // namespace

json ToSecretData(const AuthorityState& state) {
  json data = {{"ca.crt", Encoded(state.signer.certificate)},
               {"ca.key", Encoded(state.signer.key)}};
  if (!state.next.empty()) {
    data["next.crt"] = Encoded(state.next.certificate);
    data["next.key"] = Encoded(state.next.key);
    data["next.since"] = Encoded(json(state.next_since).dump());
  }
  if (!state.previous.empty()) {
    data["previous.crt"] = Encoded(state.previous);
    data["previous.until"] = Encoded(json(state.previous_until).dump());
  }
  return data;
}

AuthorityState FromSecretData(const json& data) {
  const auto number = [&](const char* key) {
    const json value = json::parse(Decoded(data, key), nullptr, /*allow_exceptions=*/false);
    return value.is_number() ? value.get<double>() : 0.0;
  };
  AuthorityState state;
  state.signer = {Decoded(data, "ca.crt"), Decoded(data, "ca.key")};
  state.next = {Decoded(data, "next.crt"), Decoded(data, "next.key")};
  state.next_since = number("next.since");
  state.previous = Decoded(data, "previous.crt");
  state.previous_until = number("previous.until");
  return state;
}

Result<std::unique_ptr<CertificateKeeper>> CertificateKeeper::Start(
    CertificateKeeperOptions options, kube::Client& client, const Clock& clock,
    const std::stop_token& stop) {
  std::unique_ptr<CertificateKeeper> keeper(
      new CertificateKeeper(std::move(options), client, clock));
  LONGSTRIDE_RETURN_IF_ERROR(keeper->Look(stop));
  keeper->thread_ = std::jthread([at = keeper.get()](const std::stop_token& s) { at->Run(s); });
  return keeper;
}

std::string CertificateKeeper::bundle() const {
  const std::lock_guard lock(mutex_);
  return bundle_;
}

void CertificateKeeper::OnChange(std::function<void()> changed) {
  const std::lock_guard lock(calling_);
  changed_ = std::move(changed);
}

Status CertificateKeeper::Look(const std::stop_token& stop) {
  Error failed = TransientError("the Secret " + options_.secret.Text() + " changes all the time");
  for (int i = 0; i < kTries; ++i) {
    const double now = clock_.UnixSeconds();
    const kube::CallOptions call{kCallDeadline, stop};
    auto secret = client_.Get(kube::Secrets(), options_.secret, call);
    const bool absent = !secret.ok() && secret.error().reason == kube::ApiReason::kNotFound;
    if (!secret.ok() && !absent) return Error(secret.error());
    const AuthorityState before =
        absent ? AuthorityState{} : FromSecretData(kube::ValueAt(*secret, "/data"));
    LONGSTRIDE_ASSIGN_OR_RETURN(AuthorityState after, Advance(before, options_.policy, now));
    if (ToSecretData(after) != ToSecretData(before)) {
      json object =
          absent
              ? json{{"apiVersion", "v1"},
                     {"kind", "Secret"},
                     {"type", "Opaque"},
                     {"metadata",
                      {{"name", options_.secret.name}, {"namespace", options_.secret.namespace_}}}}
              : *secret;
      object["data"] = ToSecretData(after);
      const auto written = absent ? client_.Create(kube::Secrets(), object, call)
                                  : client_.Update(kube::Secrets(), object, call);
      if (!written.ok()) {
        const kube::ApiReason reason = written.error().reason;
        // Another replica was faster: its state is as good.
        if (reason == kube::ApiReason::kConflict || reason == kube::ApiReason::kAlreadyExists)
          continue;
        failed = written.error();
        // The Secret says what became of a write whose answer was lost.
        if (reason == kube::ApiReason::kNoAnswer) continue;
        return failed;
      }
    }
    state_ = std::move(after);
    return ShowLeaf(now);
  }
  return failed;
}

Status CertificateKeeper::ShowLeaf(double now) {
  const double spare = options_.policy.leaf_lifetime * kLeafSpare;
  if (leaf_signer_ != state_.signer.certificate || now > leaf_until_ - spare) {
    LeafOptions leaf;
    leaf.name = kLeafName;
    leaf.dns_names = options_.dns_names;
    leaf.addresses = options_.addresses;
    leaf.validity = {now - kSkew, now + options_.policy.leaf_lifetime};
    LONGSTRIDE_ASSIGN_OR_RETURN(const CertificateAndKey pair, MakeLeaf(state_.signer, leaf));
    if (certificate_) {
      LONGSTRIDE_RETURN_IF_ERROR(certificate_->Replace(pair));
    } else {
      LONGSTRIDE_ASSIGN_OR_RETURN(certificate_, ServerCertificate::Make(pair));
    }
    leaf_signer_ = state_.signer.certificate;
    leaf_until_ = leaf.validity.not_after;
  }
  {
    const std::lock_guard lock(mutex_);
    std::string bundle = BundleOf(state_);
    if (bundle == bundle_) return {};
    bundle_ = std::move(bundle);
  }
  const std::lock_guard lock(calling_);
  if (changed_) changed_();
  return {};
}

void CertificateKeeper::Run(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any waiting;
  std::unique_lock lock(mutex);
  while (!stop.stop_requested()) {
    waiting.wait_for(lock, stop, options_.period, [] { return false; });
    if (stop.stop_requested()) return;
    if (const Status looked = Look(stop); !looked.ok())
      LogWarning("certificates", looked.error().message);
  }
}

}  // namespace longstride
