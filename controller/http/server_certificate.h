// The certificate and key that an HTTPS server shows, replaceable while it runs: connections that
// begin later show the new one, present ones go on. Thread-safe.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "controller/http/certificates.h"
#include "core/base/result.h"

typedef struct ssl_ctx_st SSL_CTX;

namespace longstride {

class ServerCertificate {
 public:
  // kUser when the pair does not fit or is not PEM.
  [[nodiscard]] static Result<std::shared_ptr<ServerCertificate>> Make(
      const CertificateAndKey& pair);
  ~ServerCertificate();

  // As Make; on failure the present one stays.
  Status Replace(const CertificateAndKey& pair);

  // Puts the present certificate into a new connection's context; false if OpenSSL refuses.
  [[nodiscard]] bool Use(SSL_CTX* context) const;

 private:
  struct Loaded;
  ServerCertificate();

  mutable std::mutex mutex_;
  std::shared_ptr<const Loaded> loaded_;
};

}  // namespace longstride
