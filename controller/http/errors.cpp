#include "controller/http/errors.h"

#include "core/protocol/json.h"

namespace longstride {
namespace {

int StatusOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUser:
      return 400;
    case ErrorCode::kData:
      return 422;
    case ErrorCode::kResource:
      return 507;
    case ErrorCode::kLostPeer:
      return 409;
    case ErrorCode::kTransient:
      return 503;
    case ErrorCode::kInterrupted:
      return 410;
    case ErrorCode::kBug:
      return 500;
  }
  return 500;
}

}  // namespace

HttpResponse ErrorResponse(const Error& error) {
  return {StatusOf(error.code), ToJsonText(ErrorReply{error.code, error.message})};
}

HttpResponse StatusResponse(int status, const std::string& message, ErrorCode code) {
  return {status, ToJsonText(ErrorReply{code, message})};
}

HttpResponse MisdirectedResponse(int64_t term) {
  return {421, ToJsonText(ErrorReply{ErrorCode::kTransient,
                                     "this process does not lead; the newest term it knows of is " +
                                         std::to_string(term),
                                     term})};
}

}  // namespace longstride
