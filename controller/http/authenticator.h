// Who may speak for a job's workers: decides from the bearer token of a request.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "controller/http/job_key.h"
#include "core/base/result.h"
#include "core/spec/places.h"

namespace longstride {

struct Verdict {
  enum class Kind {
    kAllowed,
    kUnauthenticated,  // 401: no token, or one that proves nothing
    kForbidden,        // 403: a good token of somebody else
    kUnavailable,      // 503: cannot be decided now
  };
  Kind kind = Kind::kUnauthenticated;
  std::string reason = "";  // for people; never holds the token
  ErrorCode code = ErrorCode::kUser;  // of a refusal: what the worker should make of it
  // Of kAllowed: the only worker that the token may speak for; any of the job's if absent.
  std::optional<WorkerPlace> place = {};
};

class Authenticator {
 public:
  using Done = std::function<void(Verdict)>;

  virtual ~Authenticator() = default;
  // `token` is what follows "Bearer "; "" if there was none. Calls `done` exactly once: before it
  // returns, or later on another thread. Must not block. Thread-safe.
  virtual void Authenticate(const JobKey& job, const std::string& token, Done done) = 0;
};

// One secret for all workers of the job: what `longstride run` uses on one machine.
class StaticTokenAuthenticator final : public Authenticator {
 public:
  // `token` must not be empty.
  explicit StaticTokenAuthenticator(std::string token) : token_(std::move(token)) {}
  void Authenticate(const JobKey& job, const std::string& token, Done done) override;

 private:
  const std::string token_;
};

// "Bearer abc" -> "abc"; "" for anything else.
[[nodiscard]] std::string BearerToken(std::string_view authorization);

}  // namespace longstride
