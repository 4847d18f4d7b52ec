// Any text is either refused with a message that JSON can carry, or becomes a message that goes
// through JSON unchanged.
#include <cstdlib>

#include "core/protocol/json.h"
#include "core/protocol/round_record.h"

using namespace longstride;  // NOLINT: a program of one function

namespace {

void Try(std::string_view text, const auto& parse, const auto& write) {
  const auto message = parse(text);
  if (!message.ok()) {
    if (message.error().code != ErrorCode::kUser || message.error().message.empty()) std::abort();
    return;
  }
  const std::string written = write(*message);
  const auto again = parse(written);
  if (!again.ok() || write(*again) != written) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto write = [](const auto& message) { return ToJsonText(message); };
  Try(text, ParseJoinRequest, write);
  Try(text, ParsePlan, write);
  Try(text, ParseGenerationRequest, write);
  Try(text, ParseGenerationReply, write);
  Try(text, ParseReportRequest, write);
  Try(text, ParseRoundReply, write);
  Try(text, ParseHeartbeatRequest, write);
  Try(text, ParseHeartbeatReply, write);
  Try(text, ParseRegisterRequest, write);
  Try(text, ParseLeaveRequest, write);
  Try(text, ParseStoreSetRequest, write);
  Try(text, ParseStoreReadRequest, write);
  Try(text, ParseStoreReply, write);
  Try(text, ParseErrorReply, write);
  Try(text, ParseRoundRecord, [](const RoundRecord& record) { return ToJsonLine(record); });
  return 0;
}
