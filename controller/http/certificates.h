// Certificates for the coordinator's HTTPS, made here: an authority of the operator's own, leaves
// that it signs, and the steps of replacing it without a moment in which a client trusts neither
// the old nor the new one. ECDSA on P-256, SHA-256, PEM. Pure but for the random numbers that keys
// need; times are Unix seconds.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"

namespace longstride {

struct CertificateAndKey {
  std::string certificate;  // PEM; of a leaf, without its authority's
  std::string key;          // PEM, PKCS#8, not encrypted
  [[nodiscard]] bool empty() const { return certificate.empty() || key.empty(); }
};

struct Validity {
  double not_before = 0;
  double not_after = 0;
};

// A self-signed authority that may sign leaves only. kResource when keys cannot be made.
[[nodiscard]] Result<CertificateAndKey> MakeAuthority(const std::string& name,
                                                      const Validity& validity);

struct LeafOptions {
  std::string name;                    // common name
  std::vector<std::string> dns_names;  // "longstride.longstride-system.svc"
  std::vector<std::string> addresses;  // IP addresses, as text
  Validity validity;
};

// A certificate for a server, signed by `authority`. kUser when an address is none or the authority
// is not readable.
[[nodiscard]] Result<CertificateAndKey> MakeLeaf(const CertificateAndKey& authority,
                                                 const LeafOptions& options);

// Of the first certificate in `pem`. kUser when there is none.
[[nodiscard]] Result<Validity> ValidityOf(const std::string& pem);

// OK when the key is the certificate's; kUser otherwise.
[[nodiscard]] Status CheckPair(const CertificateAndKey& pair);

// The authority through its replacements. `signer` signs leaves; `next` is published, so that
// clients trust it before it signs; `previous` is trusted until the leaves that it signed are gone.
struct AuthorityState {
  CertificateAndKey signer;
  CertificateAndKey next;
  double next_since = 0;
  std::string previous;  // certificate
  double previous_until = 0;
};

struct AuthorityPolicy {
  std::string name = "longstride";
  double lifetime = 365.0 * 86400;
  double renew_before = 90.0 * 86400;  // its end
  double publish_for = 600;  // before it signs: kubelets show it to workers within a minute or two
  double leaf_lifetime = 30.0 * 86400;
};

// The state after what is due at `now`; equal to `state` when nothing is. A signer that is missing,
// unreadable or expired is replaced at once, as nothing can be lost by it.
[[nodiscard]] Result<AuthorityState> Advance(const AuthorityState& state,
                                             const AuthorityPolicy& policy, double now);

// Every certificate that clients should trust, PEM one after the other; the same text for the same
// ones, whatever each is.
[[nodiscard]] std::string BundleOf(const AuthorityState& state);

}  // namespace longstride
