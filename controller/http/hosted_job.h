// One hosted job: its coordinator behind a lock of its own, the polls that wait for it and the
// events that it has told. Nothing of one job waits for another's. Internal to controller/http;
// thread-safe. Answers are sent outside the lock.
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "controller/coordinator/coordinator.h"
#include "controller/http/authenticator.h"
#include "controller/http/http_handler.h"
#include "core/base/clock.h"

namespace longstride {

class HostedJob {
 public:
  using Respond = HttpHandler::Respond;

  // `clock` must outlive this object.
  HostedJob(std::shared_ptr<Authenticator> authenticator, std::string json,
            CoordinatorOptions options, const Clock& clock)
      : authenticator_(std::move(authenticator)),
        json_(std::move(json)),
        clock_(clock),
        coordinator_(std::move(options), clock.Now()) {}

  [[nodiscard]] Authenticator& authenticator() { return *authenticator_; }

  // Answers `request` with the verb `verb`, which may speak for `place` only, if there is one.
  void Serve(const std::string& verb, const HttpRequest& request,
             const std::optional<WorkerPlace>& place, Respond respond);
  // Lets time act, and ends polls that have waited long enough.
  void Tick();
  void With(const std::function<void(Coordinator&, TimePoint)>& use);
  [[nodiscard]] std::vector<Event> WaitForEvents(Duration timeout);
  // Calls `sink` with each event from now on, in order, before any answer that it brings about is
  // sent; WaitForEvents has none any more. It must not call back.
  void SetEventSink(std::function<void(const Event&)> sink);
  // Answers every parked poll, and all later requests, with 503. Idempotent.
  void Close(const std::string& reason);

 private:
  struct Answer {
    Respond respond;
    HttpResponse response;
  };
  using Answers = std::vector<Answer>;
  // What a message asks for: its answer, or nullopt while there is none and `last` is false.
  using Attempt = std::function<std::optional<HttpResponse>(Coordinator&, TimePoint, bool last)>;
  struct Parked {
    TimePoint until;
    Attempt attempt;
    Respond respond;
  };

  // The attempt that a request stands for and how long it may wait, or the answer at once.
  struct Work {
    Attempt attempt;
    double wait_seconds = 0;
    std::optional<HttpResponse> refused;
  };
  [[nodiscard]] Work Understand(const std::string& verb, const HttpRequest& request,
                                const std::optional<WorkerPlace>& place) const;
  void Settle(TimePoint now, Answers& answers);  // under mutex_
  static void Send(Answers& answers);

  const std::shared_ptr<Authenticator> authenticator_;
  const std::string json_;
  const Clock& clock_;

  std::mutex mutex_;
  std::condition_variable events_ready_;
  Coordinator coordinator_;
  std::list<Parked> parked_;
  int64_t settled_revision_ = 0;
  std::vector<Event> events_;
  std::function<void(const Event&)> sink_;
  std::optional<std::string> closed_;  // why
};

}  // namespace longstride
