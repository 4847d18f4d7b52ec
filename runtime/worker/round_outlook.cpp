#include "runtime/worker/round_outlook.h"

#include <algorithm>

namespace longstride {
namespace {

constexpr double kMargin = 1.25;
// For a last report and the leave, which take 2.5 s at most; less of a short grace period.
constexpr double kLeaveSeconds = 3;
constexpr double kLeavePart = 0.25;

constexpr double kLeastHang = 60;
constexpr double kFirstHang = 600;
constexpr double kHangFactor = 10;

}  // namespace

double SecondsToBoundary(const RoundOutlook& outlook) {
  if (outlook.steps_left <= 0) return std::max(0.0, outlook.boundary_seconds - outlook.elapsed);
  const double present = std::max(0.0, outlook.step_seconds - outlook.elapsed);
  return present + static_cast<double>(outlook.steps_left - 1) * outlook.step_seconds +
         outlook.boundary_seconds;
}

bool FitsIntoGrace(double seconds_to_boundary, double left, double grace) {
  return kMargin * seconds_to_boundary + std::min(kLeaveSeconds, kLeavePart * grace) <= left;
}

double HangSeconds(double predicted, std::optional<double> longest) {
  return std::max(longest ? kLeastHang : kFirstHang,
                  kHangFactor * std::max(predicted, longest.value_or(0)));
}

}  // namespace longstride
