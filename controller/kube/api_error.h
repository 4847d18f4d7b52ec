// What the API server says when it refuses: its Status object as a value that code can switch on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "controller/kube/http_transport.h"
#include "controller/kube/resource.h"
#include "core/base/clock.h"
#include "core/base/result.h"

namespace longstride::kube {

enum class ApiReason {
  kNoAnswer,              // no usable answer: time-out, cut connection
  kNotSent,               // for want of credentials or of trust in the server: somebody must act
  kAnswerTooLong,         // longer than the transport takes
  kInterrupted,           // stopped on request
  kBadRequest,            // 400
  kUnauthorized,          // 401
  kForbidden,             // 403, by authorization or admission
  kQuotaExceeded,         // 403 because a ResourceQuota is used up
  kNamespaceTerminating,  // 403 because the namespace is being deleted
  kNotFound,              // 404
  kAlreadyExists,         // 409 to a creation
  kConflict,  // 409: the resourceVersion or a precondition does not hold, or a field manager does
  kGone,      // 410, "Gone" or "Expired": the resourceVersion or continue token is too old
  kInvalid,   // 422, with causes
  kTooManyRequests,       // 429
  kTooLarge,              // 413
  kUnsupportedMediaType,  // 415
  kServerTimeout,         // 500 ServerTimeout, 504
  kUnavailable,           // 503
  kInternal,              // other 5xx
  kOther,
};

[[nodiscard]] const char* ApiReasonName(ApiReason reason);

struct FieldCause {
  std::string field;   // "spec.containers[0].image"
  std::string reason;  // "FieldValueRequired"
  std::string message;
  friend bool operator==(const FieldCause&, const FieldCause&) = default;
};

struct ApiError {
  ApiReason reason = ApiReason::kOther;
  int status = 0;       // of HTTP; 0 without an answer
  std::string message;  // of the server, or what went wrong on the way
  std::optional<Duration> retry_after;
  std::vector<FieldCause> causes;

  // The same request may succeed later without anybody's doing.
  [[nodiscard]] bool Transient() const;
  // In the project's taxonomy: kTransient, kInterrupted, kResource (too long an answer) or kUser.
  operator Error() const;  // NOLINT: implicit, so that it passes through functions of Result
};

template <typename T>
using ApiResult = Result<T, ApiError>;

// Reads a response whose status is not 2xx; its body may be anything. `action`, as in "create pods
// a/b", begins the message.
[[nodiscard]] ApiError ReadApiError(const TransportResponse& response, const std::string& action);
// The same of a Status object that arrived inside a watch.
[[nodiscard]] ApiError ReadStatusObject(const Json& object, const std::string& action);
// A failure of the transport.
[[nodiscard]] ApiError FromTransport(const Error& error, const std::string& action);
// A failure before there was anything to send: of the credentials, or no turn.
[[nodiscard]] ApiError NotSent(const Error& error, const std::string& action);

}  // namespace longstride::kube
