#include "controller/http/token_review.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "core/base/format.h"
#include "core/protocol/base64.h"

namespace longstride {
namespace {

constexpr size_t kMaxTokenBytes = size_t{16} << 10;
constexpr size_t kMaxKnown = 65536;
constexpr size_t kMaxReviews = 64;     // under way at once
constexpr double kRefusedSeconds = 5;  // for which a refusal is kept
// For which a token is known that does not say when it expires.
constexpr double kDefaultSeconds = 60;

// Tokens are not kept, in case memory is seen by others.
std::string KeyOf(const std::string& token) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), digest.data());
  return {digest.begin(), digest.end()};
}

Verdict Unauthenticated(std::string reason) {
  return {.kind = Verdict::Kind::kUnauthenticated, .reason = std::move(reason)};
}

Verdict Forbidden(std::string reason, ErrorCode code = ErrorCode::kUser) {
  return {.kind = Verdict::Kind::kForbidden, .reason = std::move(reason), .code = code};
}

Verdict Unavailable(std::string reason) {
  return {.kind = Verdict::Kind::kUnavailable,
          .reason = std::move(reason),
          .code = ErrorCode::kTransient};
}

bool IsGood(const TokenReviewStatus& status, const std::string& audience) {
  return status.authenticated && std::ranges::count(status.audiences, audience) > 0;
}

}  // namespace

double ExpiryOf(const std::string& token) {
  const size_t first = token.find('.');
  const size_t second = first == token.npos ? token.npos : token.find('.', first + 1);
  if (second == token.npos) return 0;
  std::string payload = token.substr(first + 1, second - first - 1);
  std::ranges::replace(payload, '-', '+');
  std::ranges::replace(payload, '_', '/');
  payload.resize((payload.size() + 3) / 4 * 4, '=');
  const auto bytes = DecodeBase64(payload);
  if (!bytes) return 0;
  const auto json = nlohmann::json::parse(bytes->begin(), bytes->end(), nullptr, false);
  if (!json.is_object() || !json.contains("exp") || !json["exp"].is_number()) return 0;
  return json["exp"].get<double>();
}

void TokenReviewAuthenticator::Authenticate(const JobKey& job, const std::string& token,
                                            Done done) {
  if (token.empty()) return done(Unauthenticated("there is no bearer token"));
  if (token.size() > kMaxTokenBytes) return done(Unauthenticated("the bearer token is too long"));
  const double now = clock_.UnixSeconds();
  const double expiry = ExpiryOf(token);
  if (expiry > 0 && expiry <= now) return done(Unauthenticated("the bearer token has expired"));
  const std::string key = KeyOf(token);
  std::optional<Verdict> verdict;
  bool ask = false;
  {
    const std::lock_guard lock(mutex_);
    const auto known = known_.find(key);
    if (known != known_.end() && now < known->second.until) {
      verdict = Judge(job, known->second.status);
    } else if (const auto it = waiting_.find(key); it != waiting_.end()) {
      it->second.push_back({job, std::move(done)});
    } else if (waiting_.size() >= kMaxReviews) {
      verdict = Unavailable("too many tokens are under review");
    } else {
      waiting_[key].push_back({job, std::move(done)});
      ask = true;
    }
  }
  if (verdict) return done(std::move(*verdict));
  if (!ask) return;
  reviewer_.Review(token, audience_, [this, key, expiry](Result<TokenReviewStatus> status) {
    Take(key, expiry, std::move(status));
  });
}

void TokenReviewAuthenticator::Take(const std::string& key, double expiry,
                                    Result<TokenReviewStatus> status) {
  std::vector<std::pair<Done, Verdict>> answers;
  {
    const std::lock_guard lock(mutex_);
    const double now = clock_.UnixSeconds();
    auto waiting = waiting_.extract(key);
    if (waiting.empty()) return;
    if (status.ok()) {
      Forget(now);
      const double good_until = expiry > 0 ? expiry : now + kDefaultSeconds;
      known_[key] = {*status, IsGood(*status, audience_) ? good_until : now + kRefusedSeconds};
    }
    for (Waiting& w : waiting.mapped()) {
      Verdict verdict = status.ok()
                            ? Judge(w.job, *status)
                            : Unavailable("the API server cannot be asked about the token: " +
                                          status.error().message);
      answers.emplace_back(std::move(w.done), std::move(verdict));
    }
  }
  for (auto& [done, verdict] : answers) done(std::move(verdict));
}

Verdict TokenReviewAuthenticator::Judge(const JobKey& job, const TokenReviewStatus& status) const {
  if (!status.authenticated) {
    return Unauthenticated("the API server refuses the bearer token" +
                           (status.error.empty() ? "" : ": " + status.error));
  }
  if (!IsGood(status, audience_))
    return Unauthenticated("the bearer token is not for audience \"" + audience_ + "\"");
  if (!status.username.starts_with("system:serviceaccount:" + job.namespace_ + ":"))
    return Forbidden(status.username + " is not of namespace " + job.namespace_);
  if (status.pod_uid.empty()) return Forbidden("the bearer token is not bound to a pod");
  const FoundPod pod = pods_.Find(status.pod_uid);
  // Its place is another pod's by now, which is nobody's mistake.
  if (pod.gone)
    return Forbidden("the bearer token's pod does not exist any more", ErrorCode::kLostPeer);
  if (!pod.live) return Unavailable("the bearer token's pod is not known here yet");
  if (pod.live->job != job)
    return Forbidden("the bearer token's pod belongs to job " + pod.live->job.namespace_ + "/" +
                     pod.live->job.name);
  return {.kind = Verdict::Kind::kAllowed, .place = pod.live->place};
}

// Under mutex_, before a verdict is added.
void TokenReviewAuthenticator::Forget(double now) {
  if (known_.size() < kMaxKnown) return;
  std::erase_if(known_, [now](const auto& k) { return k.second.until <= now; });
  if (known_.size() >= kMaxKnown) known_.erase(known_.begin());
}

}  // namespace longstride
