// What the tables of metrics have in common: kinds, and the rows of the generated documents.
#pragma once

#include <string>
#include <vector>

namespace longstride {

enum class MetricType { kCounter, kGauge, kHistogram };
// "counter", as in Prometheus' text format.
[[nodiscard]] const char* MetricTypeName(MetricType type);

inline constexpr const char* kMetricTableHead =
    "| name | type | unit | labels | meaning |\n|---|---|---|---|---|\n";
// One row under kMetricTableHead.
[[nodiscard]] std::string MetricRow(const char* name, MetricType type, const char* unit,
                                    const std::vector<std::string>& labels, const char* help);

}  // namespace longstride
