#include "controller/kube/tls_source.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <vector>

#include "core/base/log.h"
#include "core/base/read_file.h"

namespace longstride::kube {
namespace {

constexpr Duration kReadAgainAfter = std::chrono::minutes(1);

template <typename T, void (*kFree)(T*)>
struct Freer {
  void operator()(T* object) const { kFree(object); }
};
using BioPtr = std::unique_ptr<BIO, Freer<BIO, BIO_free_all>>;
using CertificatePtr = std::unique_ptr<X509, Freer<X509, X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY, EVP_PKEY_free>>;
using StorePtr = std::unique_ptr<X509_STORE, Freer<X509_STORE, X509_STORE_free>>;

BioPtr Open(const std::string& pem) {
  return BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

std::vector<CertificatePtr> ReadCertificates(const std::string& pem) {
  std::vector<CertificatePtr> certificates;
  const BioPtr bio = Open(pem);
  while (X509* one = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    certificates.emplace_back(one);
  }
  ERR_clear_error();  // the end of the text counts as one
  return certificates;
}

Result<StorePtr> ReadRoots(const std::string& pem) {
  StorePtr store(X509_STORE_new());
  if (pem.empty()) {
    X509_STORE_set_default_paths(store.get());
    return store;
  }
  const std::vector<CertificatePtr> roots = ReadCertificates(pem);
  if (roots.empty()) return UserError("the CA bundle holds no certificate in PEM");
  for (const CertificatePtr& root : roots) X509_STORE_add_cert(store.get(), root.get());
  return store;
}

// In place of the library's own check, which knows only the URL's host: the context's parameters
// say what name to demand.
int VerifyChain(X509_STORE_CTX* chain, void*) {
  X509_STORE_CTX_set_verify_cb(chain, [](int verified, X509_STORE_CTX*) { return verified; });
  const int verified = X509_verify_cert(chain);
  ERR_clear_error();  // what the handshake makes of it is what the transport reads
  if (verified != 1) {
    LogWarning("kube", std::string("the API server's certificate is not trusted: ") +
                           X509_verify_cert_error_string(X509_STORE_CTX_get_error(chain)));
  }
  return verified;
}

bool IsIpAddress(const std::string& host) {
  unsigned char bytes[sizeof(in6_addr)];
  return inet_pton(AF_INET, host.c_str(), bytes) == 1 ||
         inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

Result<std::string> FileOr(const std::string& path, const std::string& text) {
  if (path.empty()) return text;
  return ReadSmallFile(path);
}

}  // namespace

struct TlsSource::Material {
  StorePtr roots;
  std::vector<CertificatePtr> chain;  // our own certificate first; empty: none
  KeyPtr key;
};

TlsSource::TlsSource(TlsOptions options, const Clock& clock)
    : options_(std::move(options)), clock_(clock), read_at_(clock.Now()) {}

TlsSource::~TlsSource() = default;

Result<std::shared_ptr<TlsSource>> TlsSource::Make(TlsOptions options, const Clock& clock) {
  std::shared_ptr<TlsSource> source(new TlsSource(std::move(options), clock));
  LONGSTRIDE_ASSIGN_OR_RETURN(source->material_, source->Load(source->issued_));
  return source;
}

Result<std::shared_ptr<const TlsSource::Material>> TlsSource::Load(
    const std::optional<ClientIdentity>& issued) const {
  auto material = std::make_shared<Material>();
  LONGSTRIDE_ASSIGN_OR_RETURN(const std::string ca, FileOr(options_.ca_file, options_.ca_pem));
  LONGSTRIDE_ASSIGN_OR_RETURN(material->roots, ReadRoots(ca));

  ClientIdentity identity;
  if (issued) {
    identity = *issued;
  } else {
    LONGSTRIDE_ASSIGN_OR_RETURN(identity.certificate_pem, FileOr(options_.client_certificate_file,
                                                                 options_.client_certificate_pem));
    LONGSTRIDE_ASSIGN_OR_RETURN(identity.key_pem,
                                FileOr(options_.client_key_file, options_.client_key_pem));
  }
  if (identity.certificate_pem.empty() && identity.key_pem.empty()) {
    return std::shared_ptr<const Material>(std::move(material));
  }
  material->chain = ReadCertificates(identity.certificate_pem);
  if (material->chain.empty())
    return UserError("the client certificate is not a certificate in PEM");
  // Without a callback OpenSSL would ask a terminal for the key's password.
  const auto no_password = [](char*, int, int, void*) { return 0; };
  material->key.reset(
      PEM_read_bio_PrivateKey(Open(identity.key_pem).get(), nullptr, no_password, nullptr));
  const bool fits = material->key != nullptr &&
                    X509_check_private_key(material->chain.front().get(), material->key.get()) == 1;
  ERR_clear_error();
  if (!material->key) return UserError("the client key is not a key in PEM without a password");
  if (!fits) return UserError("the client key does not belong to the client certificate");
  return std::shared_ptr<const Material>(std::move(material));
}

void TlsSource::Refresh() {
  if (options_.ca_file.empty() && options_.client_certificate_file.empty()) return;
  const std::lock_guard lock(mutex_);
  const TimePoint now = clock_.Now();
  if (now - read_at_ < kReadAgainAfter) return;
  read_at_ = now;
  auto loaded = Load(issued_);
  if (loaded.ok()) {
    material_ = std::move(*loaded);
  } else {
    LogWarning("kube", "TLS files not read again: " + loaded.error().message);
  }
}

Status TlsSource::SetClientCertificate(const std::string& certificate_pem,
                                       const std::string& key_pem) {
  const std::lock_guard lock(mutex_);
  const ClientIdentity identity{certificate_pem, key_pem};
  LONGSTRIDE_ASSIGN_OR_RETURN(material_, Load(identity));
  issued_ = identity;
  return {};
}

void TlsSource::Configure(ssl_ctx_st* context, const std::string& host) const {
  std::shared_ptr<const Material> material;
  {
    const std::lock_guard lock(mutex_);
    material = material_;
  }
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set1_cert_store(context, material->roots.get());
  if (!options_.insecure) SSL_CTX_set_cert_verify_callback(context, VerifyChain, nullptr);
  const std::string& name = options_.server_name.empty() ? host : options_.server_name;
  X509_VERIFY_PARAM* demands = SSL_CTX_get0_param(context);
  if (IsIpAddress(name)) {
    X509_VERIFY_PARAM_set1_ip_asc(demands, name.c_str());
  } else {
    X509_VERIFY_PARAM_set1_host(demands, name.c_str(), name.size());
  }
  if (!material->chain.empty()) {
    SSL_CTX_use_certificate(context, material->chain.front().get());
    for (size_t i = 1; i < material->chain.size(); ++i) {
      SSL_CTX_add1_chain_cert(context, material->chain[i].get());
    }
    SSL_CTX_use_PrivateKey(context, material->key.get());
  }
  ERR_clear_error();
}

}  // namespace longstride::kube
