// Messages to JSON text and back. Reading is strict and bounded: types, ranges, lengths and
// finiteness are checked, and the first fault is named by its path ("profile.points[3][1]: ...").
// Members that a reader does not know are ignored, so that a newer peer may say more
// (docs/protocol.md, "Versions").
//
// Errors of every Parse function are kUser. No function throws.
#pragma once

#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/protocol/messages.h"

namespace longstride {

// A text longer than this is refused before it is parsed, bytes.
inline constexpr size_t kMaxMessageBytes = size_t{64} << 20;
inline constexpr int64_t kMaxMembers = 4096;
// Reports that a worker keeps while the coordinator is away.
inline constexpr size_t kMaxUnsettledReports = 4096;
inline constexpr size_t kMaxStoreKeyBytes = 256;
inline constexpr size_t kMaxStoreValueBytes = size_t{256} << 10;
inline constexpr double kMaxWaitSeconds = 60;

[[nodiscard]] std::string ToJsonText(const JoinRequest& message);
[[nodiscard]] std::string ToJsonText(const Plan& message);
[[nodiscard]] std::string ToJsonText(const GenerationRequest& message);
[[nodiscard]] std::string ToJsonText(const GenerationReply& message);
[[nodiscard]] std::string ToJsonText(const ReportRequest& message);
[[nodiscard]] std::string ToJsonText(const RoundReply& message);
[[nodiscard]] std::string ToJsonText(const HeartbeatRequest& message);
[[nodiscard]] std::string ToJsonText(const HeartbeatReply& message);
[[nodiscard]] std::string ToJsonText(const RegisterRequest& message);
[[nodiscard]] std::string ToJsonText(const LeaveRequest& message);
[[nodiscard]] std::string ToJsonText(const StoreSetRequest& message);
[[nodiscard]] std::string ToJsonText(const StoreReadRequest& message);
[[nodiscard]] std::string ToJsonText(const StoreReply& message);
[[nodiscard]] std::string ToJsonText(const ErrorReply& message);

// Of a join in another version of the protocol only the version is read, so that it can be refused
// for that.
[[nodiscard]] Result<JoinRequest> ParseJoinRequest(std::string_view text);
[[nodiscard]] Result<Plan> ParsePlan(std::string_view text);
[[nodiscard]] Result<GenerationRequest> ParseGenerationRequest(std::string_view text);
[[nodiscard]] Result<GenerationReply> ParseGenerationReply(std::string_view text);
[[nodiscard]] Result<ReportRequest> ParseReportRequest(std::string_view text);
[[nodiscard]] Result<RoundReply> ParseRoundReply(std::string_view text);
[[nodiscard]] Result<HeartbeatRequest> ParseHeartbeatRequest(std::string_view text);
[[nodiscard]] Result<HeartbeatReply> ParseHeartbeatReply(std::string_view text);
[[nodiscard]] Result<RegisterRequest> ParseRegisterRequest(std::string_view text);
[[nodiscard]] Result<LeaveRequest> ParseLeaveRequest(std::string_view text);
[[nodiscard]] Result<StoreSetRequest> ParseStoreSetRequest(std::string_view text);
[[nodiscard]] Result<StoreReadRequest> ParseStoreReadRequest(std::string_view text);
[[nodiscard]] Result<StoreReply> ParseStoreReply(std::string_view text);
[[nodiscard]] Result<ErrorReply> ParseErrorReply(std::string_view text);

// "waiting", "training", "reform", "fenced", "ended", "unknown".
[[nodiscard]] const char* MemberStateName(MemberState state);

}  // namespace longstride
