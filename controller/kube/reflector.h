// Keeps a Cache equal to what the API server holds: one list, then watches, each begun where the
// last one ended, for ever. The rules are client-go's:
//
//  - The first list asks for resourceVersion "0" (any state will do), a later one for the last
//    version seen, one after that version had expired, or was newer than the server's own, for ""
//    (the newest).
//  - A server may answer the first two whole. Once an answer was too long to take, every list asks
//    for "" in pages, and for half as many objects in each after one that was still too long.
//  - A watch asks for bookmarks and a random 5 to 10 minutes, and resumes from the last event or
//    bookmark. 410 and an ERROR event inside the stream alike lead to a new list.
//  - After a refused or cut connection or 429 the watch goes on from the same version; other
//    failures list again. Failures back off with jitter (backoff.h).
//  - A watch that ends within a second without an event counts as a failure.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

#include "controller/kube/backoff.h"
#include "controller/kube/cache.h"
#include "controller/kube/client.h"

namespace longstride::kube {

struct ReflectorOptions {
  Resource resource{};
  std::string namespace_{};  // "": all
  std::string label_selector{};
  std::string field_selector{};
  BackoffOptions backoff{};
  Duration shortest_watch = std::chrono::seconds(1);  // a shorter one without an event is a failure
  Duration least_timeout = std::chrono::minutes(5);   // of a watch; up to twice as long
  uint64_t seed = 0;                                  // of jitter
};

// What happened so far, for metrics and tests.
struct ReflectorCounts {
  std::atomic<int64_t> lists{0};
  std::atomic<int64_t> watches{0};
  std::atomic<int64_t> events{0};
  std::atomic<int64_t> failures{0};
};

// Runs on a thread of its own from construction to destruction (or Stop). `client`, `cache` and
// `clock` must outlive it.
class Reflector {
 public:
  Reflector(Client& client, Cache& cache, ReflectorOptions options, const Clock& clock);
  ~Reflector() { Stop(); }

  // Returns when the thread has ended; at once, as requests in flight are given up. Idempotent.
  void Stop();
  [[nodiscard]] const ReflectorCounts& counts() const { return counts_; }

 private:
  // What to do after a list or a watch.
  struct Next {
    bool watch = false;  // from version_; else list
    bool failed = false;
    Duration at_least{};  // to wait, if it failed
  };

  void Run(const std::stop_token& stop);
  [[nodiscard]] Next ListOnce(const std::stop_token& stop);
  [[nodiscard]] Next WatchOnce(const std::stop_token& stop);
  void Apply(const WatchEvent& event);
  [[nodiscard]] Next Failed(const ApiError& error, bool watch, const std::stop_token& stop);
  void BackOff(Duration at_least, const std::stop_token& stop);

  Client& client_;
  Cache& cache_;
  const ReflectorOptions options_;
  const Clock& clock_;
  SeededRandom random_;
  Backoff backoff_;
  bool unanswered_ = false;  // the last failure was
  ReflectorCounts counts_;
  std::string version_;  // the last seen
  bool version_expired_ = false;
  int page_size_ = 0;  // 0 until an answer was too long
  std::jthread thread_;
};

}  // namespace longstride::kube
