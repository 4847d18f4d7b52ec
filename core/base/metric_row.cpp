#include "core/base/metric_row.h"

#include "core/base/format.h"

namespace longstride {

const char* MetricTypeName(MetricType type) {
  switch (type) {
    case MetricType::kCounter:
      return "counter";
    case MetricType::kGauge:
      return "gauge";
    case MetricType::kHistogram:
      return "histogram";
  }
  return "unknown";
}

std::string MetricRow(const char* name, MetricType type, const char* unit,
                      const std::vector<std::string>& labels, const char* help) {
  std::string list;
  for (const std::string& label : labels) list += (list.empty() ? "`" : ", `") + label + "`";
  return Format("| `%s` | %s | %s | %s | %s |\n", name, MetricTypeName(type), unit, list.c_str(),
                help);
}

}  // namespace longstride
