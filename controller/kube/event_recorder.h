// Writes Events (core/v1) about objects. core/v1 and not events.k8s.io/v1: the aggregation that
// keeps a loop from flooding a cluster needs a count on the event, which `kubectl get events` and
// `kubectl describe` show and the newer API keeps only for its own "series". Both are served from
// the same store.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

#include "controller/kube/client.h"
#include "controller/kube/event_correlator.h"

namespace longstride::kube {

struct RecorderOptions {
  std::string component = "longstride-controller";
  std::string instance{};  // the pod's name
  size_t max_queued = 1000;
  CorrelatorOptions correlator{};
};

// Thread-safe. `client` and `clock` must outlive it.
class EventRecorder {
 public:
  EventRecorder(Client& client, RecorderOptions options, const Clock& clock);
  // Gives up what is still queued; Flush first to keep it.
  ~EventRecorder();

  // Queues it and returns; dropped (and counted) when too many wait. Events are a convenience:
  // nothing may depend on them.
  void Record(EventText event);
  // Waits until all that was recorded is written; false after `deadline`.
  bool Flush(Duration deadline);
  [[nodiscard]] int64_t dropped() const { return dropped_; }

 private:
  void Run(const std::stop_token& stop);
  void Write(const EventText& event, const std::stop_token& stop);
  [[nodiscard]] Json ToEvent(const EventText& event, const EventWrite& write) const;

  Client& client_;
  const RecorderOptions options_;
  const Clock& clock_;
  EventCorrelator correlator_;  // of the thread alone
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<EventText> queue_;
  bool writing_ = false;
  std::atomic<int64_t> dropped_{0};
  std::jthread thread_;
};

}  // namespace longstride::kube
