// Time behind an interface, so that nothing in core or the coordinator reads the real clock in a
// test.
#pragma once

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

// A clock that a test moves by hand. Not thread-safe.
class ManualClock final : public Clock {
 public:
  [[nodiscard]] TimePoint Now() const override { return now_; }
  [[nodiscard]] double UnixSeconds() const override { return Seconds(now_.time_since_epoch()); }
  void Advance(Duration by) { now_ += by; }

 private:
  static double Seconds(Duration d) { return std::chrono::duration<double>(d).count(); }
  TimePoint now_{};
};

[[nodiscard]] inline double ToSeconds(Duration d) {
  return std::chrono::duration<double>(d).count();
}
[[nodiscard]] inline Duration FromSeconds(double s) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s));
}

}  // namespace longstride
