#include "runtime/metrics/metric_table.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

namespace longstride {
namespace {

TEST(MetricTable, StandsInTheOrderOfItsEnumeration) {
  ASSERT_EQ(MetricTable().size(), static_cast<size_t>(kMetricCount));
  for (int i = 0; i < kMetricCount; ++i) EXPECT_EQ(static_cast<int>(MetricTable()[i].metric), i);
}

// https://prometheus.io/docs/practices/naming/
TEST(MetricTable, FollowsTheNamingConventions) {
  std::set<std::string> names;
  for (const MetricDescription& m : MetricTable()) {
    const std::string name = m.name;
    EXPECT_TRUE(names.insert(name).second) << name << " stands there twice";
    EXPECT_EQ(name.rfind("longstride_worker_", 0), 0u) << name;
    EXPECT_EQ(name.ends_with("_total"), m.type == MetricType::kCounter) << name;
    for (const char* unit : {"bytes", "seconds"}) {
      if (m.unit != std::string(unit)) continue;
      EXPECT_NE(name.find(std::string("_") + unit), std::string::npos) << name;
    }
    EXPECT_EQ(std::string(m.help).back(), '.') << name;
  }
}

TEST(MetricTable, DocsAreUpToDate) {
  std::ifstream in(LONGSTRIDE_SOURCE_DIR "/docs/metrics.md");
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_EQ(text.str(), RenderMetricsMarkdown())
      << "write it anew: longstride_metrics_doc > docs/metrics.md";
}

}  // namespace
}  // namespace longstride
