// Which events to write and how, so that a loop cannot flood the cluster: equal events become one
// with a count, more than 10 similar ones in 10 minutes become one that says so, and an object gets
// 25 at once and then one every 5 minutes. As client-go's EventCorrelator. Pure: time is an
// argument. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "controller/kube/recent_map.h"
#include "controller/kube/resource.h"
#include "controller/kube/token_bucket.h"
#include "core/base/clock.h"

namespace longstride::kube {

// What an event is about.
struct ObjectReference {
  std::string api_version;
  std::string kind;
  ObjectKey key;
  std::string uid;
  std::string resource_version;
};

struct EventText {
  ObjectReference about;
  bool warning = false;
  std::string reason;   // "Restarted"; CamelCase, of a small set
  std::string message;  // one sentence
};

// What to write for one occurrence.
struct EventWrite {
  enum class Kind { kDrop, kCreate, kPatch };
  Kind kind = Kind::kDrop;
  std::string name;  // of the Event object
  std::string message;
  int64_t count = 1;
  double first_seconds = 0;  // Unix time of the first and last occurrence
  double last_seconds = 0;
};

struct CorrelatorOptions {
  int max_similar = 10;
  Duration similar_within = std::chrono::minutes(10);
  double burst = 25;
  double per_second = 1.0 / 300;
  size_t remembered = 4096;  // events and objects, the least recent are forgotten
};

class EventCorrelator {
 public:
  explicit EventCorrelator(CorrelatorOptions options = {});

  [[nodiscard]] EventWrite Observe(const EventText& event, TimePoint now, double unix_seconds);

 private:
  // Similar events: equal but for their messages.
  struct Group {
    std::map<std::string, TimePoint> messages;  // when each was last seen
  };
  struct Written {
    std::string name;
    int64_t count = 0;
    double first_seconds = 0;
    bool sent = false;  // not if its first occurrences were dropped
  };

  const CorrelatorOptions options_;
  RecentMap<TokenBucket> buckets_;  // by object
  RecentMap<Group> groups_;
  RecentMap<Written> written_;  // by group and message
};

}  // namespace longstride::kube
