#include "tests/controller/kube/fake_authority.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <functional>

namespace longstride::kube {
namespace {

constexpr long kYear = 365L * 24 * 3600;

struct Freer {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(BIO* bio) const { BIO_free_all(bio); }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer>;
using CertificatePtr = std::unique_ptr<X509, Freer>;

KeyPtr MakeKey() {
  return KeyPtr(EVP_EC_gen("P-256"));
}

std::string ToPem(const std::function<void(BIO*)>& write) {
  const std::unique_ptr<BIO, Freer> bio(BIO_new(BIO_s_mem()));
  write(bio.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

std::string ToPem(X509* certificate) {
  return ToPem([&](BIO* bio) { PEM_write_bio_X509(bio, certificate); });
}

void AddExtension(X509* certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str());
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

// Without issuer it is its own. To be signed.
CertificatePtr MakeCertificate(const std::string& common_name, EVP_PKEY* key, X509* issuer) {
  static std::atomic<long> serial{1};
  CertificatePtr certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial++);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), kYear);
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
  X509_set_issuer_name(certificate.get(), issuer ? X509_get_subject_name(issuer) : subject);
  X509_set_pubkey(certificate.get(), key);
  return certificate;
}

}  // namespace

struct FakeAuthority::Keys {
  KeyPtr key;
  CertificatePtr certificate;
};

FakeAuthority::FakeAuthority(const std::string& name) : keys_(std::make_unique<Keys>()) {
  keys_->key = MakeKey();
  keys_->certificate = MakeCertificate(name, keys_->key.get(), nullptr);
  X509* root = keys_->certificate.get();
  AddExtension(root, root, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(root, root, NID_key_usage, "critical,keyCertSign");
  X509_sign(root, keys_->key.get(), EVP_sha256());
  certificate_pem_ = ToPem(root);
}

FakeAuthority::~FakeAuthority() = default;

FakeAuthority::Identity FakeAuthority::Issue(const std::string& common_name,
                                             const std::string& alt_names,
                                             const char* usage) const {
  const KeyPtr key = MakeKey();
  const CertificatePtr certificate =
      MakeCertificate(common_name, key.get(), keys_->certificate.get());
  if (!alt_names.empty()) {
    AddExtension(certificate.get(), keys_->certificate.get(), NID_subject_alt_name, alt_names);
  }
  AddExtension(certificate.get(), keys_->certificate.get(), NID_ext_key_usage, usage);
  X509_sign(certificate.get(), keys_->key.get(), EVP_sha256());
  return {ToPem(certificate.get()), ToPem([&](BIO* bio) {
            PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

FakeAuthority::Identity FakeAuthority::IssueServer(const std::string& dns_name) const {
  return Issue(dns_name, "IP:127.0.0.1,DNS:localhost,DNS:" + dns_name, "serverAuth");
}

FakeAuthority::Identity FakeAuthority::IssueClient(const std::string& common_name) const {
  return Issue(common_name, "", "clientAuth");
}

}  // namespace longstride::kube
