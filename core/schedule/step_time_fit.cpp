#include "core/schedule/step_time_fit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace longstride {
namespace {

// One point scaled by its own time: alpha * micro_batches + beta * samples should be 1.
struct Row {
  double micro_batches;
  double samples;
};
struct Line {
  double alpha = 0;
  double beta = 0;
};

double Residual(const Line& line, const Row& row) {
  return line.alpha * row.micro_batches + line.beta * row.samples - 1.0;
}

// Cramer's rule for [a b; b2 d] (alpha, beta) = (p, q); false where the two are not told apart.
bool Solve(double a, double b, double b2, double d, double p, double q, Line& line) {
  const double determinant = a * d - b * b2;
  if (std::abs(determinant) <= 1e-12 * std::abs(a * d)) return false;
  line = {(p * d - b * q) / determinant, (a * q - b2 * p) / determinant};
  return true;
}

Line LeastAbsolute(const std::vector<Row>& rows) {
  Line best;
  double best_cost = std::numeric_limits<double>::infinity();
  const auto offer = [&](const Line& line) {
    if (!(line.alpha >= 0 && line.beta >= 0)) return;
    double cost = 0;
    for (const Row& row : rows) cost += std::abs(Residual(line, row));
    // The margin lets the first of equally good lines win, in spite of rounding.
    if (cost < best_cost - 1e-10 * static_cast<double>(rows.size())) {
      best = line;
      best_cost = cost;
    }
  };
  for (const Row& row : rows) offer({0, 1.0 / row.samples});
  for (const Row& row : rows) offer({1.0 / row.micro_batches, 0});
  for (size_t i = 0; i < rows.size(); ++i) {
    for (size_t j = i + 1; j < rows.size(); ++j) {
      Line line;
      if (Solve(rows[i].micro_batches, rows[i].samples, rows[j].micro_batches, rows[j].samples, 1,
                1, line)) {
        offer(line);
      }
    }
  }
  return best;
}

Line NonNegativeLeastSquares(const std::vector<Row>& rows) {
  double aa = 0, ab = 0, bb = 0, a = 0, b = 0;
  for (const Row& row : rows) {
    aa += row.micro_batches * row.micro_batches;
    ab += row.micro_batches * row.samples;
    bb += row.samples * row.samples;
    a += row.micro_batches;
    b += row.samples;
  }
  Line line;
  if (!Solve(aa, ab, ab, bb, a, b, line) || line.alpha < 0) return {0, b / bb};
  if (line.beta < 0) return {a / aa, 0};
  return line;
}

double MedianAbsoluteResidual(const Line& line, const std::vector<Row>& rows) {
  std::vector<double> residuals;
  for (const Row& row : rows) residuals.push_back(std::abs(Residual(line, row)));
  const auto middle = residuals.begin() + static_cast<std::ptrdiff_t>((residuals.size() - 1) / 2);
  std::nth_element(residuals.begin(), middle, residuals.end());
  return *middle;
}

}  // namespace

Result<StepTimeFit> FitStepTime(std::span<const StepTimePoint> points, int64_t micro_batch) {
  std::vector<Row> rows;
  for (const StepTimePoint& p : points) {
    if (p.batch < 1 || !std::isfinite(p.seconds) || p.seconds <= 0) continue;
    const double micro_batches = static_cast<double>((p.batch - 1) / micro_batch + 1);
    rows.push_back({micro_batches / p.seconds, static_cast<double>(p.batch) / p.seconds});
  }
  if (rows.empty()) return DataError("no valid step time was measured, so none can be fitted");

  const Line robust = LeastAbsolute(rows);
  constexpr double kDeviations = 3 * 1.4826;  // 1.4826 * MAD estimates a normal standard deviation
  const double limit = std::max(0.02, kDeviations * MedianAbsoluteResidual(robust, rows));
  std::vector<Row> kept;
  for (const Row& row : rows) {
    if (std::abs(Residual(robust, row)) <= limit) kept.push_back(row);
  }
  const Line line = NonNegativeLeastSquares(kept);
  StepTimeFit fit;
  fit.alpha = line.alpha;
  fit.beta = line.beta;
  fit.used = static_cast<int64_t>(kept.size());
  fit.dropped = static_cast<int64_t>(points.size()) - fit.used;
  fit.relative_error = MedianAbsoluteResidual(line, kept);
  return fit;
}

}  // namespace longstride
