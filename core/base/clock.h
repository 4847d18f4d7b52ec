// Time behind an interface, so that nothing in core or the coordinator reads the real clock in a
// test.
#pragma once

#include <atomic>
#include <chrono>

namespace longstride {

using Duration = std::chrono::nanoseconds;
// A point on a monotonic axis; only differences mean anything.
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

class Clock {
 public:
  virtual ~Clock() = default;
  // Monotonic time. Thread-safe.
  [[nodiscard]] virtual TimePoint Now() const = 0;
  // Seconds since the Unix epoch, for records that people read. Thread-safe.
  [[nodiscard]] virtual double UnixSeconds() const = 0;
};

// The machine's clock.
class SystemClock final : public Clock {
 public:
  [[nodiscard]] TimePoint Now() const override;
  [[nodiscard]] double UnixSeconds() const override;
};

// A clock that a test moves by hand. Thread-safe.
class ManualClock final : public Clock {
 public:
  [[nodiscard]] TimePoint Now() const override { return TimePoint(Duration(since_epoch_)); }
  [[nodiscard]] double UnixSeconds() const override {
    return std::chrono::duration<double>(Duration(since_epoch_)).count();
  }
  void Advance(Duration by) { since_epoch_ += by.count(); }

 private:
  std::atomic<Duration::rep> since_epoch_{0};
};

[[nodiscard]] inline double ToSeconds(Duration d) {
  return std::chrono::duration<double>(d).count();
}
[[nodiscard]] inline Duration FromSeconds(double s) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s));
}

}  // namespace longstride
