#include "controller/http/server_certificate.h"

#include <openssl/ssl.h>

#include "controller/http/openssl_handles.h"

namespace longstride {

struct ServerCertificate::Loaded {
  X509Handle certificate;
  KeyHandle key;
};

ServerCertificate::ServerCertificate() = default;
ServerCertificate::~ServerCertificate() = default;

Result<std::shared_ptr<ServerCertificate>> ServerCertificate::Make(const CertificateAndKey& pair) {
  std::shared_ptr<ServerCertificate> made(new ServerCertificate());
  LONGSTRIDE_RETURN_IF_ERROR(made->Replace(pair));
  return made;
}

Status ServerCertificate::Replace(const CertificateAndKey& pair) {
  LONGSTRIDE_RETURN_IF_ERROR(CheckPair(pair));
  auto loaded =
      std::make_shared<const Loaded>(Loaded{ReadCertificate(pair.certificate), ReadKey(pair.key)});
  const std::lock_guard lock(mutex_);
  loaded_ = std::move(loaded);
  return {};
}

bool ServerCertificate::Use(SSL_CTX* context) const {
  std::shared_ptr<const Loaded> loaded;
  {
    const std::lock_guard lock(mutex_);
    loaded = loaded_;
  }
  // The next connection has another context and could not resume a session of this one.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  // Most connections are idle most of the time: 34 KB of buffers less for each.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
         SSL_CTX_use_certificate(context, loaded->certificate.get()) == 1 &&
         SSL_CTX_use_PrivateKey(context, loaded->key.get()) == 1;
}

}  // namespace longstride
