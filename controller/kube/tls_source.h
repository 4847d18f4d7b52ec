// What TLS to the API server needs: whom to trust, the name to demand, who we are. A source can
// change while it is in use (a CA bundle on disk is replaced, a plugin issues a new certificate);
// connections made afterwards use the new material, older ones end their lives with the old.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "core/base/clock.h"
#include "core/base/result.h"

// OpenSSL's context, which only tls_source.cpp and the transport look into.
struct ssl_ctx_st;

namespace longstride::kube {

struct TlsOptions {
  std::string ca_pem;   // the only roots that are trusted; empty and no ca_file: the system's
  std::string ca_file;  // re-read once a minute; wins over ca_pem
  std::string client_certificate_pem;
  std::string client_key_pem;
  std::string client_certificate_file;  // with client_key_file, re-read once a minute
  std::string client_key_file;
  std::string server_name;  // demanded of the server's certificate instead of the URL's host
  bool insecure = false;    // any certificate will do
};

class TlsSource {
 public:
  // Reads the files. `clock` must be thread-safe and outlive the source. kUser when PEM cannot be
  // read or does not fit (the key is of another certificate).
  [[nodiscard]] static Result<std::shared_ptr<TlsSource>> Make(TlsOptions options,
                                                               const Clock& clock);
  ~TlsSource();

  // Reads the files again if a minute has passed. Keeps what it has when they cannot be read (a
  // bundle may be in the middle of its replacement) and says so in the log. Thread-safe.
  void Refresh();
  // The identity that a plugin has issued. kUser when it cannot be read.
  Status SetClientCertificate(const std::string& certificate_pem, const std::string& key_pem);

  // Prepares a new connection's context for a server at `host`: roots, the name to demand (also by
  // X509_VERIFY_PARAM_get0_host, for the handshake's server name), our identity. Called on the
  // transport's threads.
  void Configure(ssl_ctx_st* context, const std::string& host) const;

  [[nodiscard]] bool insecure() const { return options_.insecure; }

 private:
  struct Material;
  struct ClientIdentity {
    std::string certificate_pem;
    std::string key_pem;
  };
  TlsSource(TlsOptions options, const Clock& clock);
  [[nodiscard]] Result<std::shared_ptr<const Material>> Load(
      const std::optional<ClientIdentity>& issued) const;

  const TlsOptions options_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::optional<ClientIdentity> issued_;  // by SetClientCertificate
  std::shared_ptr<const Material> material_;
  TimePoint read_at_;
};

}  // namespace longstride::kube
