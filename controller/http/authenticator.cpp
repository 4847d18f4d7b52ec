#include "controller/http/authenticator.h"

namespace longstride {
namespace {

// In time that does not depend on how much of the token is right.
bool Matches(std::string_view given, std::string_view token) {
  unsigned char difference = given.size() == token.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i) {
    difference |= static_cast<unsigned char>(given[i] ^ token[i % token.size()]);
  }
  return difference == 0;
}

}  // namespace

void StaticTokenAuthenticator::Authenticate(const JobKey&, const std::string& token, Done done) {
  if (Matches(token, token_)) {
    done({.kind = Verdict::Kind::kAllowed});
  } else {
    done({.reason = "the bearer token is missing or wrong"});
  }
}

std::string BearerToken(std::string_view authorization) {
  constexpr std::string_view kScheme = "Bearer ";
  if (!authorization.starts_with(kScheme)) return "";
  return std::string(authorization.substr(kScheme.size()));
}

}  // namespace longstride
