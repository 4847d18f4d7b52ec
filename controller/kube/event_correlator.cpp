#include "controller/kube/event_correlator.h"

#include <algorithm>
#include <iterator>

#include "core/base/format.h"
#include "core/base/random.h"

namespace longstride::kube {
namespace {

constexpr size_t kMaxNameBytes = 200;  // of an object's name inside its event's

std::string Join(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (const std::string_view part : parts) {
    text += part;
    text += '\n';  // stands in no name
  }
  return text;
}

std::string NameOf(const std::string& object_name, const std::string& key, double unix_seconds) {
  const uint64_t tail = Hash64(std::hash<std::string>{}(key),
                               static_cast<uint64_t>(std::max(0.0, unix_seconds) * 1e9));
  return Format("%s.%016llx", object_name.substr(0, kMaxNameBytes).c_str(),
                static_cast<unsigned long long>(tail));
}

}  // namespace

EventCorrelator::EventCorrelator(CorrelatorOptions options)
    : options_(options),
      buckets_(options.remembered),
      groups_(options.remembered),
      written_(options.remembered) {}

EventWrite EventCorrelator::Observe(const EventText& event, TimePoint now, double unix_seconds) {
  const ObjectReference& about = event.about;
  const std::string object = Join({about.kind, about.key.namespace_, about.key.name, about.uid});
  const std::string similar = Join({object, event.warning ? "Warning" : "Normal", event.reason});

  std::map<std::string, TimePoint>& messages =
      groups_.GetOr(similar, [] { return Group(); }).messages;
  std::erase_if(messages,
                [&](const auto& seen) { return now - seen.second > options_.similar_within; });
  messages[event.message] = now;
  const bool combined = messages.size() > static_cast<size_t>(options_.max_similar);
  if (combined) {  // enough is known; the oldest makes room
    messages.erase(std::min_element(messages.begin(), messages.end(),
                                    [](auto& a, auto& b) { return a.second < b.second; }));
  }

  const std::string key = combined ? similar : Join({similar, event.message});
  Written& written = written_.GetOr(key, [&] {
    return Written{NameOf(about.key.name, key, unix_seconds), 0, unix_seconds};
  });
  ++written.count;

  TokenBucket& bucket =
      buckets_.GetOr(object, [&] { return TokenBucket(options_.per_second, options_.burst); });
  EventWrite write;
  if (!bucket.TryTake(now)) return write;
  write.kind = written.sent ? EventWrite::Kind::kPatch : EventWrite::Kind::kCreate;
  written.sent = true;
  write.name = written.name;
  write.message = (combined ? "(combined from similar events): " : "") + event.message;
  write.count = written.count;
  write.first_seconds = written.first_seconds;
  write.last_seconds = unix_seconds;
  return write;
}

}  // namespace longstride::kube
