// Errors as HTTP answers: {"code", "message"} and the status that fits; docs/protocol.md lists
// them.
#pragma once

#include <cstdint>
#include <string>

#include "controller/http/http_handler.h"
#include "core/base/result.h"

namespace longstride {

// 400 user, 422 data, 507 resource, 409 lost peer (fenced), 503 transient, 410 interrupted (job
// ended), 500 bug.
[[nodiscard]] HttpResponse ErrorResponse(const Error& error);

// What HTTP itself refuses (401, 403, 404, 405): a user error with that status, unless told.
[[nodiscard]] HttpResponse StatusResponse(int status, const std::string& message,
                                          ErrorCode code = ErrorCode::kUser);

// 421: another process leads, with a term of at least `term`. A transient error, with the term.
[[nodiscard]] HttpResponse MisdirectedResponse(int64_t term);

}  // namespace longstride
