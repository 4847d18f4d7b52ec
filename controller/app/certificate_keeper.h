// The coordinators' certificates: the authority lives in a Secret that all replicas share, and each
// replica shows a leaf that it signed with it. Whoever first sees that something is due writes the
// next state; the others read it. certificates.h has the steps.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "controller/http/certificates.h"
#include "controller/http/server_certificate.h"
#include "controller/kube/client.h"
#include "core/base/clock.h"

namespace longstride {

struct CertificateKeeperOptions {
  kube::ObjectKey secret;
  std::vector<std::string> dns_names;
  std::vector<std::string> addresses;
  AuthorityPolicy policy;
  Duration period = std::chrono::seconds(30);  // between two looks at the Secret
};

// `data` of the Secret, and back. What is missing or unreadable is empty.
[[nodiscard]] nlohmann::json ToSecretData(const AuthorityState& state);
[[nodiscard]] AuthorityState FromSecretData(const nlohmann::json& data);

class CertificateKeeper {
 public:
  // Returns with a certificate at hand. `client` and `clock` must outlive it. Errors: of the API,
  // or kTransient when `stop` came first.
  [[nodiscard]] static Result<std::unique_ptr<CertificateKeeper>> Start(
      CertificateKeeperOptions options, kube::Client& client, const Clock& clock,
      const std::stop_token& stop);

  [[nodiscard]] std::shared_ptr<ServerCertificate> certificate() const { return certificate_; }
  // What workers should trust now, PEM.
  [[nodiscard]] std::string bundle() const;
  // From now on `changed` is called after each change of the bundle, on the keeper's thread; the
  // one before is not, nor is it being called, once this returns.
  void OnChange(std::function<void()> changed);

 private:
  CertificateKeeper(CertificateKeeperOptions options, kube::Client& client, const Clock& clock)
      : options_(std::move(options)), client_(client), clock_(clock) {}
  Status Look(const std::stop_token& stop);
  Status ShowLeaf(double now);
  void Run(const std::stop_token& stop);

  const CertificateKeeperOptions options_;
  kube::Client& client_;
  const Clock& clock_;
  AuthorityState state_;  // of the thread that looks
  std::string leaf_signer_;
  double leaf_until_ = 0;
  std::shared_ptr<ServerCertificate> certificate_;
  mutable std::mutex mutex_;  // guards bundle_
  std::string bundle_;
  std::mutex calling_;  // guards changed_, and is held while it is called
  std::function<void()> changed_;
  std::jthread thread_;
};

}  // namespace longstride
