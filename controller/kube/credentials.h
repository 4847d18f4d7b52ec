// Who we are to the API server, as the Authorization header says it. Tokens change under us:
// projected ones are re-read each minute, a plugin's are renewed when they expire.
#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "core/base/clock.h"
#include "core/base/result.h"

namespace longstride::kube {

// Thread-safe.
class Credentials {
 public:
  virtual ~Credentials() = default;
  // The header's value ("Bearer …"), or "" when a certificate identifies us. May read a file or run
  // a plugin; kTransient when that, or another thread's turn at it, lasts longer than `limit`,
  // kInterrupted on `stop`.
  [[nodiscard]] virtual Result<std::string> Authorization(std::stop_token stop, Duration limit) = 0;
  // The server answered 401: the next call asks the source again. Does not wait for one under way.
  virtual void Invalidate() = 0;
};

// A token that never changes, or none ("").
[[nodiscard]] std::shared_ptr<Credentials> MakeStaticToken(const std::string& token);
// A token in a file, re-read each minute and on 401. An unreadable file is kUser unless an earlier
// token is at hand. `clock` must be thread-safe and outlive the result.
[[nodiscard]] std::shared_ptr<Credentials> MakeTokenFile(const std::string& path,
                                                         const Clock& clock);

// Printable and without spaces: what may stand in a header. "" is none.
[[nodiscard]] bool IsToken(const std::string& text);
[[nodiscard]] std::string BearerOf(const std::string& token);

}  // namespace longstride::kube
