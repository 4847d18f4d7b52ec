#include "runtime/profile/throughput.h"

#include <algorithm>

#include "core/base/format.h"
#include "core/base/median.h"
#include "core/schedule/step_time_fit.h"

namespace longstride {
namespace {

constexpr int64_t kGrowth = 4;  // of the batch from one measurement to the next
constexpr int kRepeats = 2;     // on the way up
// A row that takes less than this share of the budget is too short to be disturbed for long.
constexpr double kShortRow = 0.1;
// Beyond the largest measured batch the linear memory model is believed up to this factor.
constexpr int64_t kExtrapolation = 8;
// Where memory binds, a wrong slope costs samples or the process: steps go on beyond the budget, up
// to this many times it, until the predicted cap is within one growth of a measured batch.
constexpr double kMemoryPatience = 4;

class Measurement {
 public:
  Measurement(const ThroughputProbe& probe, const ThroughputOptions& options, const Clock& clock)
      : probe_(probe),
        options_(options),
        clock_(clock),
        memory_(options.memory_limit_bytes),
        begin_(clock.Now()) {}

  Result<ThroughputProfile> Run() {
    memory_.SetBaseline(probe_.peak_memory_bytes());
    int64_t batch = options_.min_batch;
    LONGSTRIDE_RETURN_IF_ERROR(WarmUp(batch));
    LONGSTRIDE_RETURN_IF_ERROR(Measure(batch));
    if (!memory_.Fits(batch)) {
      return ResourceError(Format(
          "a step of %s takes %s of memory, more than 90%% of the limit of %s; use a smaller "
          "model, or raise limits.memory or the container's limit",
          batch == 1 ? "one sample" : Format("%ld samples", batch).c_str(),
          FormatBytes(memory_.Predict(batch)).c_str(),
          FormatBytes(static_cast<double>(options_.memory_limit_bytes)).c_str()));
    }
    int64_t ceiling = options_.max_batch;  // no micro-batch above it
    while (true) {
      const int64_t next = memory_.Largest(batch, std::min(batch * kGrowth, ceiling));
      if (next == batch || !Worthwhile(next, ceiling)) break;
      const Status measured = Measure(next);
      if (!measured.ok()) {
        if (measured.error().code != ErrorCode::kResource) return measured.error();
        ceiling = next - 1;
        break;
      }
      batch = next;
    }
    LONGSTRIDE_RETURN_IF_ERROR(SpendBudget());
    memory_.RaiseLast(probe_.peak_memory_bytes());
    return Finish(batch, ceiling);
  }

 private:
  // The first step allocates what lasts (gradients, library workspaces) and is slow.
  Status WarmUp(int64_t batch) {
    auto seconds = probe_.time_step(batch, batch);
    if (!seconds.ok()) return seconds.error();
    return Status();
  }

  Status Measure(int64_t batch) {
    std::vector<double> seconds;
    for (int i = 0; i < kRepeats && (i == 0 || Elapsed() < options_.budget_seconds); ++i) {
      LONGSTRIDE_ASSIGN_OR_RETURN(const double once, probe_.time_step(batch, batch));
      seconds.push_back(once);
    }
    memory_.Add(batch, probe_.peak_memory_bytes());
    row_.push_back({batch, std::move(seconds)});
    return Status();
  }

  // Once more through the row, largest batch first, as long as a step ends within the budget.
  Status SpendBudget() {
    if (Elapsed() < kShortRow * options_.budget_seconds) return Status();
    for (bool measured = true; measured;) {
      measured = false;
      for (auto point = row_.rbegin(); point != row_.rend(); ++point) {
        if (Elapsed() + Median(point->seconds) > options_.budget_seconds) continue;
        LONGSTRIDE_ASSIGN_OR_RETURN(const double once,
                                    probe_.time_step(point->batch, point->batch));
        point->seconds.push_back(once);
        measured = true;
      }
    }
    return Status();
  }

  // Whether one step of `next`, at the last measured time per sample, ends within the budget.
  bool Worthwhile(int64_t next, int64_t ceiling) const {
    const Point& last = row_.back();
    const double end = Elapsed() + Median(last.seconds) * static_cast<double>(next) /
                                       static_cast<double>(last.batch);
    if (end <= options_.budget_seconds) return true;
    const int64_t cap = memory_.Largest(last.batch, ceiling);
    return cap < ceiling && cap > last.batch * kGrowth &&
           end <= kMemoryPatience * options_.budget_seconds;
  }

  double Elapsed() const { return ToSeconds(clock_.Now() - begin_); }

  Result<ThroughputProfile> Finish(int64_t largest, int64_t ceiling) {
    std::vector<StepTimePoint> points;
    ThroughputProfile profile;
    for (const Point& point : row_) {
      profile.points.emplace_back(point.batch, Median(point.seconds));
      points.push_back({point.batch, profile.points.back().second});
    }
    // Each was measured as one micro-batch, so any c >= the largest describes them.
    LONGSTRIDE_ASSIGN_OR_RETURN(const StepTimeFit fit, FitStepTime(points, largest));
    profile.alpha = fit.alpha;
    profile.beta = fit.beta;
    profile.micro_batch_cap = memory_.Largest(largest, std::min(ceiling, largest * kExtrapolation));
    profile.memory_peak_bytes = static_cast<int64_t>(memory_.Predict(profile.micro_batch_cap));
    profile.memory = memory_;
    return profile;
  }

  struct Point {
    int64_t batch = 0;
    std::vector<double> seconds;  // of each step
  };

  const ThroughputProbe& probe_;
  const ThroughputOptions& options_;
  const Clock& clock_;
  MemoryModel memory_;
  TimePoint begin_;
  std::vector<Point> row_;
};

}  // namespace

Result<ThroughputProfile> MeasureThroughput(const ThroughputProbe& probe,
                                            const ThroughputOptions& options, const Clock& clock) {
  return Measurement(probe, options, clock).Run();
}

}  // namespace longstride
