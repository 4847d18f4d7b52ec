// What the coordinators' authenticator asks: which pods live, from the cache's handlers, and what a
// token proves, from the API server.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "controller/http/token_review.h"
#include "controller/kube/cache.h"
#include "controller/kube/client.h"
#include "controller/kube/recent_map.h"

namespace longstride {

// The jobs' live pods by UID. Thread-safe.
class PodIndex final : public LivePods {
 public:
  // `jobs` must outlive it. A pod counts only while its owner is the job of that name that is
  // there.
  explicit PodIndex(const kube::Cache& jobs);

  // For the pods' cache, before its reflector starts.
  [[nodiscard]] kube::CacheHandlers Handlers();
  [[nodiscard]] FoundPod Find(const std::string& uid) const override;

 private:
  void Put(const kube::ObjectPtr& pod);
  void Erase(const std::string& uid);

  struct Known {
    LivePod pod;
    std::string owner_uid;
  };

  const kube::Cache& jobs_;
  mutable std::mutex mutex_;
  std::map<std::string, Known> pods_;
  kube::RecentMap<std::monostate> gone_;  // UIDs that were seen and are not in pods_
};

// Asks the API server, a few tokens at a time, on threads of its own. `client` must outlive it.
// What is not asked yet when it is destroyed is answered with kInterrupted.
class ApiTokenReviewer final : public TokenReviewer {
 public:
  ApiTokenReviewer(kube::Client& client, int threads);
  ~ApiTokenReviewer() override;
  void Review(const std::string& token, const std::string& audience, Done done) override;

 private:
  struct Question {
    std::string token;
    std::string audience;
    Done done;
  };
  void Run(const std::stop_token& stop);

  kube::Client& client_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Question> questions_;
  std::vector<std::jthread> threads_;
};

}  // namespace longstride
