#include "controller/kube/reflector.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "controller/kube/stoppable_wait.h"
#include "core/base/log.h"

namespace longstride::kube {
namespace {

// The server has forgotten that version, or, restored from a backup, has not come to it.
bool HasNoSuchVersion(const ApiError& error) {
  return error.reason == ApiReason::kGone ||
         std::ranges::count(error.causes, "ResourceVersionTooLarge", &FieldCause::reason) > 0;
}

}  // namespace

Reflector::Reflector(Client& client, Cache& cache, ReflectorOptions options, const Clock& clock)
    : client_(client),
      cache_(cache),
      options_(std::move(options)),
      clock_(clock),
      random_(options_.seed),
      backoff_(options_.backoff),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

void Reflector::Stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void Reflector::Run(const std::stop_token& stop) {
  bool listed = false;
  while (!stop.stop_requested()) {
    Next next = listed ? WatchOnce(stop) : ListOnce(stop);
    if (next.failed) BackOff(next.at_least, stop);
    listed = next.watch;
  }
}

Reflector::Next Reflector::ListOnce(const std::stop_token& stop) {
  ListOptions options;
  options.namespace_ = options_.namespace_;
  options.label_selector = options_.label_selector;
  options.field_selector = options_.field_selector;
  options.resource_version = version_.empty() ? "0" : version_;
  if (version_expired_) options.resource_version = "";
  // A page of an exact version is not served from the server's cache but from its disk.
  if (!version_.empty() && !version_expired_) options.page_size = 0;
  if (page_size_ > 0) {
    options.resource_version = "";
    options.page_size = page_size_;
  }

  ++counts_.lists;
  CallOptions call;
  call.stop = stop;
  std::vector<Cache::Entry> entries;
  const auto take = [&](const std::vector<Json>& page) {
    for (const Json& object : page) entries.push_back(cache_.Project(object));
  };
  auto version = client_.ListPages(options_.resource, options, take, call);
  if (!version.ok()) {
    if (HasNoSuchVersion(version.error())) version_expired_ = true;
    if (version.error().reason == ApiReason::kAnswerTooLong) {
      page_size_ = page_size_ > 0 ? std::max(page_size_ / 2, 1) : ListOptions().page_size;
    }
    return Failed(version.error(), /*watch=*/false, stop);
  }
  version_expired_ = false;
  version_ = *std::move(version);
  cache_.Replace(std::move(entries));
  return {.watch = true};
}

Reflector::Next Reflector::WatchOnce(const std::stop_token& stop) {
  WatchOptions options;
  options.namespace_ = options_.namespace_;
  options.label_selector = options_.label_selector;
  options.field_selector = options_.field_selector;
  options.resource_version = version_;
  options.timeout = options_.least_timeout +
                    FromSeconds(ToSeconds(options_.least_timeout) * random_.NextUniform());

  ++counts_.watches;
  const TimePoint began = clock_.Now();
  int64_t events = 0;
  std::optional<ApiError> refused;
  const auto take = [&](const WatchEvent& event) {
    if (event.type == WatchEvent::Type::kError) {
      refused = ReadStatusObject(event.object, "watch " + options_.resource.Text());
      return false;
    }
    ++events;
    ++counts_.events;
    Apply(event);
    return true;
  };
  const auto ended = client_.Watch(options_.resource, options, take, stop);
  if (stop.stop_requested()) return {.watch = true};
  if (refused) return Failed(*refused, /*watch=*/false, stop);

  const bool fruitless = events == 0 && clock_.Now() - began < options_.shortest_watch;
  if (ended.ok()) {
    if (!fruitless) return {.watch = true};
    ApiError error;
    error.message = "watch " + options_.resource.Text() + ": ended at once without an event";
    return Failed(error, /*watch=*/false, stop);
  }
  switch (ended.error().reason) {
    case ApiReason::kNoAnswer:
      // Refused, or cut on the way: the version still holds.
      if (fruitless) return Failed(ended.error(), /*watch=*/true, stop);
      return {.watch = true};
    case ApiReason::kTooManyRequests:
      return Failed(ended.error(), /*watch=*/true, stop);
    default:
      return Failed(ended.error(), /*watch=*/false, stop);
  }
}

void Reflector::Apply(const WatchEvent& event) {
  switch (event.type) {
    case WatchEvent::Type::kAdded:
    case WatchEvent::Type::kModified:
      cache_.Upsert(event.object);
      break;
    case WatchEvent::Type::kDeleted:
      cache_.Remove(event.object);
      break;
    case WatchEvent::Type::kBookmark:
    case WatchEvent::Type::kError:
      break;
  }
  const std::string version = ResourceVersionOf(event.object);
  if (!version.empty()) version_ = version;
}

Reflector::Next Reflector::Failed(const ApiError& error, bool watch, const std::stop_token& stop) {
  if (stop.stop_requested()) return {};
  ++counts_.failures;
  LogWarning("kube", error.message);
  // The pauses that an outage has made long say nothing of a server that answers again, though it
  // may need a moment to be of use.
  const bool answered = error.status != 0;
  if (answered && unanswered_) backoff_ = Backoff(options_.backoff);
  unanswered_ = !answered;
  return {.watch = watch, .failed = true, .at_least = error.retry_after.value_or(Duration::zero())};
}

void Reflector::BackOff(Duration at_least, const std::stop_token& stop) {
  const Duration delay = std::max(at_least, backoff_.Next(clock_.Now(), random_));
  (void)WaitFor(delay, stop);
}

}  // namespace longstride::kube
