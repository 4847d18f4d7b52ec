#include "controller/kube/event_recorder.h"

#include "controller/kube/backoff.h"
#include "controller/kube/stoppable_wait.h"
#include "core/base/log.h"
#include "core/base/timestamps.h"

namespace longstride::kube {
namespace {

// Rides out a restart of the API server; later ones matter more than this one.
constexpr int kAttempts = 8;
constexpr size_t kMaxMessageBytes = 1024;  // the API's bound

}  // namespace

EventRecorder::EventRecorder(Client& client, RecorderOptions options, const Clock& clock)
    : client_(client),
      options_(std::move(options)),
      clock_(clock),
      correlator_(options_.correlator),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

EventRecorder::~EventRecorder() = default;  // the thread is stopped and joined first

void EventRecorder::Record(EventText event) {
  const std::lock_guard lock(mutex_);
  if (queue_.size() >= options_.max_queued) {
    ++dropped_;
    return;
  }
  queue_.push_back(std::move(event));
  changed_.notify_all();
}

bool EventRecorder::Flush(Duration deadline) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, deadline, [this] { return queue_.empty() && !writing_; });
}

void EventRecorder::Run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return !queue_.empty(); }) && !stop.stop_requested()) {
    const EventText event = std::move(queue_.front());
    queue_.pop_front();
    writing_ = true;
    lock.unlock();
    Write(event, stop);
    lock.lock();
    writing_ = false;
    changed_.notify_all();
  }
}

void EventRecorder::Write(const EventText& event, const std::stop_token& stop) {
  EventWrite write = correlator_.Observe(event, clock_.Now(), clock_.UnixSeconds());
  if (write.kind == EventWrite::Kind::kDrop) return;
  const Json object = ToEvent(event, write);
  const ObjectKey key = KeyOf(object);
  Backoff backoff({.first = std::chrono::seconds(1), .most = std::chrono::seconds(10)});
  SeededRandom random(0);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    CallOptions call;
    call.stop = stop;
    ApiResult<Json> written = Json();
    if (write.kind == EventWrite::Kind::kPatch) {
      const Json patch = {{"count", object["count"]},
                          {"message", object["message"]},
                          {"lastTimestamp", object["lastTimestamp"]}};
      written = client_.MergePatch(Events(), key, patch, "", call);
    } else {
      written = client_.Create(Events(), object, call);
    }
    if (written.ok()) return;
    const ApiError& error = written.error();
    if (error.reason == ApiReason::kNotFound && write.kind == EventWrite::Kind::kPatch) {
      write.kind = EventWrite::Kind::kCreate;  // events expire after an hour
      continue;
    }
    if (!error.Transient()) {
      LogWarning("kube", "event not written: " + error.message);
      return;
    }
    if (!WaitFor(backoff.Next(clock_.Now(), random), stop)) return;
  }
  LogWarning("kube", "event given up: " + event.reason + " of " + event.about.key.Text());
}

Json EventRecorder::ToEvent(const EventText& event, const EventWrite& write) const {
  const ObjectReference& about = event.about;
  // Events about objects outside of any namespace go into the default one.
  const std::string namespace_ = about.key.namespace_.empty() ? "default" : about.key.namespace_;
  return {{"apiVersion", "v1"},
          {"kind", "Event"},
          {"metadata", {{"namespace", namespace_}, {"name", write.name}}},
          {"involvedObject",
           {{"apiVersion", about.api_version},
            {"kind", about.kind},
            {"namespace", about.key.namespace_},
            {"name", about.key.name},
            {"uid", about.uid},
            {"resourceVersion", about.resource_version}}},
          {"type", event.warning ? "Warning" : "Normal"},
          {"reason", event.reason},
          {"message", write.message.substr(0, kMaxMessageBytes)},
          {"source", {{"component", options_.component}}},
          {"reportingComponent", options_.component},
          {"reportingInstance", options_.instance},
          {"firstTimestamp", FormatTime(write.first_seconds)},
          {"lastTimestamp", FormatTime(write.last_seconds)},
          {"count", write.count}};
}

}  // namespace longstride::kube
