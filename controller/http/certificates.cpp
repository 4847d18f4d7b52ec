#include "controller/http/certificates.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <memory>

#include "controller/http/openssl_handles.h"

namespace longstride {
namespace {

constexpr double kClockSkew = 300;  // of clients behind us

Error CannotMake(const char* what) {
  return ResourceError(std::string("OpenSSL could not make ") + what);
}

std::string Text(BIO* bio) {
  const char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(size)};
}

Result<CertificateAndKey> ToPem(X509* certificate, EVP_PKEY* key) {
  const BioHandle certificate_out(BIO_new(BIO_s_mem())), key_out(BIO_new(BIO_s_mem()));
  if (!certificate_out || !key_out || PEM_write_bio_X509(certificate_out.get(), certificate) != 1 ||
      PEM_write_bio_PrivateKey(key_out.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return CannotMake("PEM of a certificate");
  return CertificateAndKey{Text(certificate_out.get()), Text(key_out.get())};
}

bool Extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const ExtensionHandle extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

// What authorities and leaves have in common. `issuer` may be the certificate itself.
bool Describe(X509* certificate, X509* issuer, EVP_PKEY* key, const std::string& name,
              const Validity& validity) {
  std::array<unsigned char, 16> serial{};
  if (RAND_bytes(serial.data(), static_cast<int>(serial.size())) != 1) return false;
  serial[0] = static_cast<unsigned char>((serial[0] & 0x7F) | 0x40);  // positive, full length
  const BignumHandle number(BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr));
  X509_NAME* subject = X509_get_subject_name(certificate);
  return number && X509_set_version(certificate, 2) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr &&
         ASN1_TIME_set(X509_getm_notBefore(certificate),
                       static_cast<time_t>(validity.not_before)) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), static_cast<time_t>(validity.not_after)) !=
             nullptr &&
         X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1,
                                    0) == 1 &&
         X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 &&
         X509_set_pubkey(certificate, key) == 1;
}

double UnixSeconds(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return 0;
  return static_cast<double>(timegm(&parts));
}

}  // namespace

X509Handle ReadCertificate(const std::string& pem) {
  const BioHandle in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return X509Handle(in ? PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr) : nullptr);
}

KeyHandle ReadKey(const std::string& pem) {
  const BioHandle in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const auto no_password = [](char*, int, int, void*) { return 0; };
  return KeyHandle(in ? PEM_read_bio_PrivateKey(in.get(), nullptr, no_password, nullptr) : nullptr);
}

Result<CertificateAndKey> MakeAuthority(const std::string& name, const Validity& validity) {
  const KeyHandle key(EVP_EC_gen("P-256"));
  const X509Handle certificate(X509_new());
  X509* c = certificate.get();
  if (!key || !c || !Describe(c, c, key.get(), name, validity) ||
      !Extend(c, c, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !Extend(c, c, NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !Extend(c, c, NID_subject_key_identifier, "hash") ||
      X509_sign(c, key.get(), EVP_sha256()) == 0)
    return CannotMake("an authority");
  return ToPem(c, key.get());
}

Result<CertificateAndKey> MakeLeaf(const CertificateAndKey& authority, const LeafOptions& options) {
  LONGSTRIDE_RETURN_IF_ERROR(CheckPair(authority));
  const X509Handle issuer = ReadCertificate(authority.certificate);
  const KeyHandle issuer_key = ReadKey(authority.key);
  std::string names;
  for (const std::string& name : options.dns_names)
    names += (names.empty() ? "" : ",") + ("DNS:" + name);
  for (const std::string& address : options.addresses) {
    names += (names.empty() ? "" : ",") + ("IP:" + address);
  }
  const KeyHandle key(EVP_EC_gen("P-256"));
  const X509Handle certificate(X509_new());
  X509* c = certificate.get();
  if (!key || !c || !Describe(c, issuer.get(), key.get(), options.name, options.validity) ||
      !Extend(c, issuer.get(), NID_basic_constraints, "critical,CA:FALSE") ||
      !Extend(c, issuer.get(), NID_key_usage, "critical,digitalSignature") ||
      !Extend(c, issuer.get(), NID_ext_key_usage, "serverAuth") ||
      !Extend(c, issuer.get(), NID_authority_key_identifier, "keyid"))
    return CannotMake("a certificate");
  // It would pass for a self-signed certificate, which nobody trusts.
  if (X509_NAME_cmp(X509_get_subject_name(c), X509_get_issuer_name(c)) == 0)
    return UserError("a certificate cannot have the name of its authority: " + options.name);
  if (!names.empty() && !Extend(c, issuer.get(), NID_subject_alt_name, names))
    return UserError("not names or addresses that a certificate can hold: " + names);
  if (X509_sign(c, issuer_key.get(), EVP_sha256()) == 0) return CannotMake("a certificate");
  return ToPem(c, key.get());
}

Result<Validity> ValidityOf(const std::string& pem) {
  const X509Handle certificate = ReadCertificate(pem);
  if (!certificate) return UserError("there is no certificate in PEM");
  return Validity{UnixSeconds(X509_get0_notBefore(certificate.get())),
                  UnixSeconds(X509_get0_notAfter(certificate.get()))};
}

Status CheckPair(const CertificateAndKey& pair) {
  const X509Handle certificate = ReadCertificate(pair.certificate);
  if (!certificate) return UserError("there is no certificate in PEM");
  const KeyHandle key = ReadKey(pair.key);
  if (!key) return UserError("there is no private key in PEM");
  if (X509_check_private_key(certificate.get(), key.get()) != 1)
    return UserError("the private key is not the certificate's");
  return {};
}

Result<AuthorityState> Advance(const AuthorityState& state, const AuthorityPolicy& policy,
                               double now) {
  AuthorityState after = state;
  const Validity validity{now - kClockSkew, now + policy.lifetime};
  const auto lives_until = [](const CertificateAndKey& pair) {
    const Result<Validity> v = ValidityOf(pair.certificate);
    return v.ok() && CheckPair(pair).ok() ? v->not_after : 0;
  };
  if (after.previous_until <= now) after.previous.clear(), after.previous_until = 0;
  const double signer_until = lives_until(after.signer);
  if (signer_until <= now) {
    LONGSTRIDE_ASSIGN_OR_RETURN(after.signer, MakeAuthority(policy.name, validity));
    after.next = {};
    return after;
  }
  if (!after.next.empty() && lives_until(after.next) <= now) after.next = {};
  if (!after.next.empty()) {
    if (now - after.next_since < policy.publish_for) return after;
    after.previous = after.signer.certificate;
    after.previous_until = std::min(signer_until, now + policy.leaf_lifetime);
    after.signer = std::move(after.next);
    after.next = {};
    after.next_since = 0;
  } else if (signer_until - now <= policy.renew_before) {
    LONGSTRIDE_ASSIGN_OR_RETURN(after.next, MakeAuthority(policy.name, validity));
    after.next_since = now;
  }
  return after;
}

std::string BundleOf(const AuthorityState& state) {
  std::array authorities = {state.signer.certificate, state.next.certificate, state.previous};
  std::ranges::sort(authorities);
  std::string bundle;
  for (const std::string& pem : authorities) {
    bundle += pem;
    if (!bundle.empty() && bundle.back() != '\n') bundle += '\n';
  }
  return bundle;
}

}  // namespace longstride
