#include "cli/run_cost.h"

#include "core/base/format.h"

namespace longstride {

std::optional<RunCost> CostOf(const RunTotals& totals, const CostSpec& prices) {
  if (prices.worker_hour <= 0 && prices.gigabyte_sent <= 0) return std::nullopt;
  RunCost cost;
  cost.worker_hours = totals.worker_seconds / 3600;
  cost.gigabytes_sent = totals.sent_bytes / 1e9;
  cost.total = cost.worker_hours * prices.worker_hour + cost.gigabytes_sent * prices.gigabyte_sent;
  return cost;
}

std::string CostText(const RunCost& cost, const CostSpec& prices) {
  // Cents are too coarse for a short run.
  std::string text =
      Format(cost.total >= 1 ? "%.2f " : "%.2g ", cost.total) + prices.currency + ": ";
  if (prices.worker_hour > 0)
    text += Format("%.3g worker-hours x %.4g", cost.worker_hours, prices.worker_hour);
  if (prices.worker_hour > 0 && prices.gigabyte_sent > 0) text += " + ";
  if (prices.gigabyte_sent > 0)
    text += Format("%.3g GB sent x %.4g", cost.gigabytes_sent, prices.gigabyte_sent);
  return text;
}

}  // namespace longstride
