#include "controller/kube/api_error.h"

#include <charconv>
#include <iterator>

#include "controller/kube/resource.h"
#include "core/base/format.h"

namespace longstride::kube {
namespace {

constexpr size_t kMaxMessageBytes = 2000;

struct Name {
  ApiReason reason;
  const char* name;
};
// Names are Kubernetes' own where it has one, so that they can be read both ways.
constexpr Name kNames[] = {
    {ApiReason::kNoAnswer, "NoAnswer"},
    {ApiReason::kNotSent, "NotSent"},
    {ApiReason::kAnswerTooLong, "AnswerTooLong"},
    {ApiReason::kInterrupted, "Interrupted"},
    {ApiReason::kBadRequest, "BadRequest"},
    {ApiReason::kUnauthorized, "Unauthorized"},
    {ApiReason::kForbidden, "Forbidden"},
    {ApiReason::kQuotaExceeded, "QuotaExceeded"},
    {ApiReason::kNamespaceTerminating, "NamespaceTerminating"},
    {ApiReason::kNotFound, "NotFound"},
    {ApiReason::kAlreadyExists, "AlreadyExists"},
    {ApiReason::kConflict, "Conflict"},
    {ApiReason::kGone, "Gone"},
    {ApiReason::kGone, "Expired"},
    {ApiReason::kInvalid, "Invalid"},
    {ApiReason::kTooManyRequests, "TooManyRequests"},
    {ApiReason::kTooLarge, "RequestEntityTooLarge"},
    {ApiReason::kUnsupportedMediaType, "UnsupportedMediaType"},
    {ApiReason::kServerTimeout, "ServerTimeout"},
    {ApiReason::kServerTimeout, "Timeout"},
    {ApiReason::kUnavailable, "ServiceUnavailable"},
    {ApiReason::kInternal, "InternalError"},
    {ApiReason::kOther, "Other"},
};

ApiReason FromHttpStatus(int status) {
  switch (status) {
    case 400:
      return ApiReason::kBadRequest;
    case 401:
      return ApiReason::kUnauthorized;
    case 403:
      return ApiReason::kForbidden;
    case 404:
      return ApiReason::kNotFound;
    case 409:
      return ApiReason::kConflict;
    case 410:
      return ApiReason::kGone;
    case 413:
      return ApiReason::kTooLarge;
    case 415:
      return ApiReason::kUnsupportedMediaType;
    case 422:
      return ApiReason::kInvalid;
    case 429:
      return ApiReason::kTooManyRequests;
    case 503:
      return ApiReason::kUnavailable;
    case 504:
      return ApiReason::kServerTimeout;
    default:
      return status >= 500 ? ApiReason::kInternal : ApiReason::kOther;
  }
}

ApiReason ReasonOf(const Json& status_object, int status) {
  const std::string reason = StringAt(status_object, "/reason");
  for (const Name& known : kNames) {
    if (reason == known.name && known.reason > ApiReason::kInterrupted) return known.reason;
  }
  return FromHttpStatus(status);
}

void ReadDetails(const Json& status_object, ApiError& error) {
  const Json& seconds = ValueAt(status_object, "/details/retryAfterSeconds");
  if (seconds.is_number() && seconds.get<double>() > 0) {
    error.retry_after = FromSeconds(seconds.get<double>());
  }
  const Json& causes = ValueAt(status_object, "/details/causes");
  if (!causes.is_array()) return;
  for (const Json& cause : causes) {
    error.causes.push_back(
        {StringAt(cause, "/field"), StringAt(cause, "/reason"), StringAt(cause, "/message")});
  }
}

// Both are plain Forbidden to the server, and its words are all that tells them apart.
void RefineForbidden(const std::string& message, ApiError& error) {
  if (error.reason != ApiReason::kForbidden) return;
  if (message.find("exceeded quota") != std::string::npos) {
    error.reason = ApiReason::kQuotaExceeded;
  }
  for (const FieldCause& cause : error.causes) {
    if (cause.reason == "NamespaceTerminating") error.reason = ApiReason::kNamespaceTerminating;
  }
}

ApiError FromStatusObject(const Json& object, int status, const std::string& action) {
  ApiError error;
  error.status = status;
  error.reason = ReasonOf(object, status);
  ReadDetails(object, error);
  const std::string message = StringAt(object, "/message").substr(0, kMaxMessageBytes);
  RefineForbidden(message, error);
  error.message = Format("%s: %s (%d)%s%s", action.c_str(), ApiReasonName(error.reason), status,
                         message.empty() ? "" : ": ", message.c_str());
  return error;
}

}  // namespace

const char* ApiReasonName(ApiReason reason) {
  for (const Name& known : kNames) {
    if (known.reason == reason) return known.name;
  }
  return "Other";
}

bool ApiError::Transient() const {
  switch (reason) {
    case ApiReason::kNoAnswer:
    case ApiReason::kTooManyRequests:
    case ApiReason::kServerTimeout:
    case ApiReason::kUnavailable:
    case ApiReason::kInternal:
      return true;
    default:
      return false;
  }
}

ApiError::operator Error() const {
  if (reason == ApiReason::kInterrupted) return InterruptedError(message);
  if (reason == ApiReason::kAnswerTooLong) return ResourceError(message);
  return Transient() ? TransientError(message) : UserError(message);
}

ApiError ReadApiError(const TransportResponse& response, const std::string& action) {
  Json body = Json::parse(response.body, nullptr, /*allow_exceptions=*/false);
  if (!body.is_object()) {  // a proxy's page, or words of the server's own
    body = {{"message", response.body.substr(0, kMaxMessageBytes)}};
  }
  ApiError error = FromStatusObject(body, response.status, action);
  const std::string header = response.Header("Retry-After");
  double seconds = 0;
  const auto [end, fault] = std::from_chars(header.data(), header.data() + header.size(), seconds);
  if (fault == std::errc() && end == header.data() + header.size() && seconds >= 0 &&
      seconds < 1e6) {
    error.retry_after = FromSeconds(seconds);
  }
  return error;
}

ApiError ReadStatusObject(const Json& object, const std::string& action) {
  const Json& code = ValueAt(object, "/code");
  return FromStatusObject(object, code.is_number_integer() ? code.get<int>() : 500, action);
}

ApiError FromTransport(const Error& error, const std::string& action) {
  ApiError api_error = NotSent(error, action);
  if (error.code == ErrorCode::kResource) api_error.reason = ApiReason::kAnswerTooLong;
  return api_error;
}

ApiError NotSent(const Error& error, const std::string& action) {
  ApiError api_error;
  api_error.reason = ApiReason::kNoAnswer;
  if (error.code == ErrorCode::kInterrupted) api_error.reason = ApiReason::kInterrupted;
  if (error.code == ErrorCode::kUser) api_error.reason = ApiReason::kNotSent;
  api_error.message = action + ": " + error.message;
  return api_error;
}

}  // namespace longstride::kube
