#include "controller/metrics/metric_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

namespace longstride::controller {
namespace {

// https://prometheus.io/docs/practices/naming/
TEST(ControllerMetricTable, FollowsTheNamingConventions) {
  std::set<std::string> names;
  for (const auto table : {ControllerMetrics(), JobMetrics()}) {
    for (const MetricDescription& m : table) {
      const std::string name = m.name;
      EXPECT_TRUE(names.insert(name).second) << name << " stands there twice";
      EXPECT_EQ(name.ends_with("_total"), m.type == MetricType::kCounter) << name;
      for (const std::string unit : {"bytes", "seconds"}) {
        const bool named = name.find("_" + unit) != std::string::npos;
        EXPECT_TRUE(m.unit != unit || named) << name;
      }
      EXPECT_EQ(std::string(m.help).back(), '.') << name;
    }
  }
}

// Prometheus overwrites an exporter's "job" and "namespace" with those of the scrape.
TEST(ControllerMetricTable, LeavesTheLabelsOfTheScrapeAlone) {
  for (const MetricDescription& m : JobMetrics()) {
    EXPECT_EQ(std::string(m.name).rfind("longstride_job_", 0), 0u) << m.name;
    for (const char* taken : {"job", "namespace", "instance", "pod", "job_name", "job_namespace"}) {
      EXPECT_EQ(std::count(m.labels.begin(), m.labels.end(), taken), 0) << m.name;
    }
  }
}

TEST(ControllerMetricTable, DocsAreUpToDate) {
  std::ifstream in(LONGSTRIDE_SOURCE_DIR "/docs/controller-metrics.md");
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_EQ(text.str(), RenderControllerMetricsMarkdown())
      << "write it anew: longstride_controller_metrics_doc > docs/controller-metrics.md";
}

}  // namespace
}  // namespace longstride::controller
