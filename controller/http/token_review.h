// Identity of workers in a cluster: a pod proves itself with a projected service-account token of
// our audience, which the API server reviews (authentication.k8s.io/v1 TokenReview). The pod's UID
// in the review must be that of a live pod of the job, and its namespace the job's.
//
// A good verdict is kept until the token expires and is good only while the pod lives, so a review
// is asked for about once per pod and token, and an API server that is away stops nobody who is
// known. Refusals are kept for a few seconds.
//
// A pod may ask before word of it has come from the API server: it is told to try again, as the
// loss of its place would be for good. Nobody gets in by that: the API server reviews no token of a
// pod that is gone as good, and one that was good before stays refused.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "controller/http/authenticator.h"
#include "core/base/clock.h"
#include "core/base/result.h"

namespace longstride {

// The status of a TokenReview, as far as it matters here.
struct TokenReviewStatus {
  bool authenticated = false;
  std::string error;
  std::vector<std::string> audiences;  // that the token is good for, of those asked for
  std::string username;                // "system:serviceaccount:NAMESPACE:NAME"
  std::string pod_uid;                 // extra["authentication.kubernetes.io/pod-uid"]
};

class TokenReviewer {
 public:
  using Done = std::function<void(Result<TokenReviewStatus>)>;

  virtual ~TokenReviewer() = default;
  // Asks the API server. Calls `done` exactly once, then or later, on any thread; an error means
  // that there is no answer. Must not block. Thread-safe.
  virtual void Review(const std::string& token, const std::string& audience, Done done) = 0;
};

struct LivePod {
  JobKey job;  // the TrainingJob that controls it
  WorkerPlace place;
};

// What is known of a pod; neither: nothing, it may be too new.
struct FoundPod {
  std::optional<LivePod> live;  // it exists, has not ended and belongs to a job
  bool gone = false;            // it was seen, and is no such pod or not any more
};

class LivePods {
 public:
  virtual ~LivePods() = default;
  // The pod with that UID. From a cache: must not block. Thread-safe.
  [[nodiscard]] virtual FoundPod Find(const std::string& uid) const = 0;
};

class TokenReviewAuthenticator final : public Authenticator {
 public:
  // All must outlive this object, and every review must be done before it is destroyed.
  TokenReviewAuthenticator(TokenReviewer& reviewer, const LivePods& pods, const Clock& clock,
                           std::string audience = "longstride")
      : reviewer_(reviewer), pods_(pods), clock_(clock), audience_(std::move(audience)) {}

  void Authenticate(const JobKey& job, const std::string& token, Done done) override;

 private:
  // What a review said of a token, by the token's SHA-256.
  struct Known {
    TokenReviewStatus status;
    double until = 0;  // Unix seconds
  };
  struct Waiting {
    JobKey job;
    Done done;
  };
  void Take(const std::string& key, double expiry, Result<TokenReviewStatus> status);
  [[nodiscard]] Verdict Judge(const JobKey& job, const TokenReviewStatus& status) const;
  void Forget(double now);

  TokenReviewer& reviewer_;
  const LivePods& pods_;
  const Clock& clock_;
  const std::string audience_;
  std::mutex mutex_;
  std::map<std::string, Known> known_;
  std::map<std::string, std::vector<Waiting>> waiting_;  // for a review that is under way
};

// Unix seconds at which a JSON Web Token expires; 0 if it does not say. Nothing is verified.
[[nodiscard]] double ExpiryOf(const std::string& token);

}  // namespace longstride
