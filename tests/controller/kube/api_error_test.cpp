#include "controller/kube/api_error.h"

#include <gmock/gmock.h>

namespace longstride::kube {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TransportResponse Answer(int status, const std::string& reason, const std::string& message = "",
                         const Json& details = Json::object()) {
  const Json body = {
      {"kind", "Status"}, {"reason", reason}, {"message", message}, {"details", details}};
  return {status, {}, body.dump()};
}

struct Case {
  int status;
  const char* reason;
  ApiReason expected;
};

class ReasonTest : public ::testing::TestWithParam<Case> {};

TEST_P(ReasonTest, IsReadFromTheStatusObjectAndElseFromTheCode) {
  const Case& c = GetParam();
  EXPECT_EQ(ReadApiError(Answer(c.status, c.reason), "get pods").reason, c.expected)
      << c.status << " " << c.reason;
}

INSTANTIATE_TEST_SUITE_P(
    Table, ReasonTest,
    ::testing::Values(
        Case{409, "AlreadyExists", ApiReason::kAlreadyExists},
        Case{409, "Conflict", ApiReason::kConflict}, Case{409, "", ApiReason::kConflict},
        Case{404, "NotFound", ApiReason::kNotFound}, Case{410, "Gone", ApiReason::kGone},
        Case{410, "Expired", ApiReason::kGone}, Case{401, "Unauthorized", ApiReason::kUnauthorized},
        Case{403, "Forbidden", ApiReason::kForbidden}, Case{422, "Invalid", ApiReason::kInvalid},
        Case{429, "TooManyRequests", ApiReason::kTooManyRequests},
        Case{500, "InternalError", ApiReason::kInternal},
        Case{500, "ServerTimeout", ApiReason::kServerTimeout}, Case{502, "", ApiReason::kInternal},
        Case{503, "ServiceUnavailable", ApiReason::kUnavailable},
        Case{504, "Timeout", ApiReason::kServerTimeout}, Case{418, "Teapot", ApiReason::kOther},
        // What only we say of ourselves is not taken from a server.
        Case{500, "NoAnswer", ApiReason::kInternal}, Case{500, "NotSent", ApiReason::kInternal},
        Case{500, "AnswerTooLong", ApiReason::kInternal}));

TEST(ApiErrorTest, AQuotaIsToldFromOtherRefusals) {
  const auto error = ReadApiError(
      Answer(403, "Forbidden", "pods \"a\" is forbidden: exceeded quota: q, requested: pods=1"),
      "create pods default/a");
  EXPECT_EQ(error.reason, ApiReason::kQuotaExceeded);
  EXPECT_THAT(error.message, HasSubstr("create pods default/a"));
  EXPECT_THAT(error.message, HasSubstr("exceeded quota"));
}

TEST(ApiErrorTest, ANamespaceBeingDeletedIsToldFromOtherRefusals) {
  const Json details = {{"causes", {{{"reason", "NamespaceTerminating"}}}}};
  EXPECT_EQ(ReadApiError(Answer(403, "Forbidden", "", details), "create pods").reason,
            ApiReason::kNamespaceTerminating);
}

TEST(ApiErrorTest, CausesOfInvalidNameTheirFields) {
  const Json details = {{"causes",
                         {{{"reason", "FieldValueRequired"},
                           {"message", "Required value"},
                           {"field", "spec.containers[0].image"}}}}};
  EXPECT_THAT(
      ReadApiError(Answer(422, "Invalid", "", details), "create pods").causes,
      ElementsAre(FieldCause{"spec.containers[0].image", "FieldValueRequired", "Required value"}));
}

TEST(ApiErrorTest, RetryAfterComesFromTheHeaderOrTheDetails) {
  TransportResponse answer = Answer(429, "TooManyRequests", "", {{"retryAfterSeconds", 3}});
  EXPECT_EQ(ReadApiError(answer, "").retry_after, Duration(std::chrono::seconds(3)));
  answer.headers.emplace_back("retry-after", "7");
  EXPECT_EQ(ReadApiError(answer, "").retry_after, Duration(std::chrono::seconds(7)));
  EXPECT_EQ(ReadApiError(Answer(429, ""), "").retry_after, std::nullopt);
}

TEST(ApiErrorTest, ABodyThatIsNoStatusIsQuoted) {
  const auto error = ReadApiError({502, {}, "<html>Bad gateway</html>"}, "list pods");
  EXPECT_EQ(error.reason, ApiReason::kInternal);
  EXPECT_THAT(error.message, HasSubstr("Bad gateway"));
}

TEST(ApiErrorTest, BecomesAnErrorOfTheProjectsTaxonomy) {
  EXPECT_EQ(Error(ReadApiError(Answer(503, ""), "")).code, ErrorCode::kTransient);
  EXPECT_EQ(Error(ReadApiError(Answer(403, ""), "")).code, ErrorCode::kUser);
  EXPECT_EQ(Error(FromTransport(InterruptedError("x"), "")).code, ErrorCode::kInterrupted);
  EXPECT_EQ(Error(FromTransport(TransientError("x"), "")).code, ErrorCode::kTransient);
  EXPECT_EQ(Error(FromTransport(ResourceError("x"), "")).code, ErrorCode::kResource);
}

TEST(ApiErrorTest, WhatOnlyTheUserCanMendIsNotTransient) {
  for (const ApiError& error : {NotSent(UserError("no such plugin"), ""),
                                FromTransport(UserError("untrusted certificate"), "")}) {
    EXPECT_EQ(error.reason, ApiReason::kNotSent);
    EXPECT_FALSE(error.Transient());
    EXPECT_EQ(Error(error).code, ErrorCode::kUser);
  }
}

TEST(ApiErrorTest, OnlyAnAnswerIsTooLong) {
  EXPECT_EQ(FromTransport(ResourceError("x"), "").reason, ApiReason::kAnswerTooLong);
  EXPECT_FALSE(FromTransport(ResourceError("x"), "").Transient());
  EXPECT_EQ(NotSent(ResourceError("no pipe"), "").reason, ApiReason::kNoAnswer);
}

}  // namespace
}  // namespace longstride::kube
