#include "core/base/result.h"

namespace longstride {

const char* ErrorCodeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUser:
      return "user";
    case ErrorCode::kData:
      return "data";
    case ErrorCode::kResource:
      return "resource";
    case ErrorCode::kLostPeer:
      return "lostPeer";
    case ErrorCode::kTransient:
      return "transient";
    case ErrorCode::kInterrupted:
      return "interrupted";
    case ErrorCode::kBug:
      return "bug";
  }
  return "bug";
}

int ExitCodeOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kBug:
      return 1;
    case ErrorCode::kUser:
      return 2;
    case ErrorCode::kData:
      return 3;
    case ErrorCode::kResource:
      return 4;
    case ErrorCode::kLostPeer:
      return 5;
    case ErrorCode::kTransient:
      return 6;
    case ErrorCode::kInterrupted:
      return 7;
  }
  return 1;
}

}  // namespace longstride
