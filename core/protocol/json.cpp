#include "core/protocol/json.h"

#include "core/protocol/fields.h"

namespace longstride {
namespace {

template <typename M>
std::string Write(const M& message) {
  JsonWriter writer;
  Fields(writer, message);
  return DumpJson(writer.json());
}

template <typename M>
Result<M> Read(std::string_view text) {
  LONGSTRIDE_ASSIGN_OR_RETURN(const nlohmann::json json, ParseBoundedJson(text, kMaxMessageBytes));
  JsonReader reader(json);
  M message;
  if (!reader.fault()) Fields(reader, message);
  if (reader.fault()) return reader.error();
  return message;
}

Status CheckShape(const Generation& generation) {
  const size_t size = generation.members.size();
  if (generation.rank >= static_cast<int64_t>(size)) {
    return UserError("generation.rank: is not below the number of members");
  }
  for (const Plan& plan : generation.plans) {
    if (plan.shares.size() != size)
      return UserError("generation.plans: a plan lacks a member's share");
  }
  return {};
}

}  // namespace

#define LONGSTRIDE_MESSAGE(M)                 \
  std::string ToJsonText(const M& message) {  \
    return Write(message);                    \
  }                                           \
  Result<M> Parse##M(std::string_view text) { \
    return Read<M>(text);                     \
  }

LONGSTRIDE_MESSAGE(Plan)
LONGSTRIDE_MESSAGE(GenerationRequest)
LONGSTRIDE_MESSAGE(ReportRequest)
LONGSTRIDE_MESSAGE(RoundReply)
LONGSTRIDE_MESSAGE(HeartbeatRequest)
LONGSTRIDE_MESSAGE(HeartbeatReply)
LONGSTRIDE_MESSAGE(LeaveRequest)
LONGSTRIDE_MESSAGE(StoreSetRequest)
LONGSTRIDE_MESSAGE(StoreReadRequest)
LONGSTRIDE_MESSAGE(StoreReply)
LONGSTRIDE_MESSAGE(ErrorReply)
#undef LONGSTRIDE_MESSAGE

std::string ToJsonText(const JoinRequest& message) {
  return Write(message);
}

Result<JoinRequest> ParseJoinRequest(std::string_view text) {
  LONGSTRIDE_ASSIGN_OR_RETURN(const nlohmann::json json, ParseBoundedJson(text, kMaxMessageBytes));
  JsonReader head(json);
  JoinRequest request;
  if (!head.fault()) head.Integer("protocol", request.protocol, 0, 1 << 20);
  if (head.fault()) return head.error();
  if (request.protocol != kProtocolVersion) return request;
  JsonReader reader(json);
  Fields(reader, request);
  if (reader.fault()) return reader.error();
  return request;
}

std::string ToJsonText(const RegisterRequest& message) {
  return Write(message);
}

std::string ToJsonText(const GenerationReply& message) {
  return Write(message);
}

Result<RegisterRequest> ParseRegisterRequest(std::string_view text) {
  LONGSTRIDE_ASSIGN_OR_RETURN(RegisterRequest request, Read<RegisterRequest>(text));
  if (request.generation) LONGSTRIDE_RETURN_IF_ERROR(CheckShape(*request.generation));
  return request;
}

Result<GenerationReply> ParseGenerationReply(std::string_view text) {
  LONGSTRIDE_ASSIGN_OR_RETURN(GenerationReply reply, Read<GenerationReply>(text));
  if (reply.generation.has_value() != (reply.state == MemberState::kTraining)) {
    return UserError("generation: must be present exactly when state is \"training\"");
  }
  if (reply.generation) LONGSTRIDE_RETURN_IF_ERROR(CheckShape(*reply.generation));
  return reply;
}

const char* MemberStateName(MemberState state) {
  return kMemberStateNames[static_cast<size_t>(state)];
}

}  // namespace longstride
