// The chart installs the CRD of this version.
#include <gtest/gtest.h>

#include "cli/run_directory.h"
#include "cli/yaml_writer.h"
#include "core/spec/crd.h"

namespace longstride {
namespace {

TEST(CrdYaml, OfTheChartIsAsGenerated) {
  const auto committed = ReadFile(LONGSTRIDE_SOURCE_DIR "/charts/longstride/files/crd.yaml");
  ASSERT_TRUE(committed.ok()) << committed.error().message;
  EXPECT_EQ(*committed, ToYaml(ToCrd()))
      << "stale; renew it with longstride crd > charts/longstride/files/crd.yaml";
}

}  // namespace
}  // namespace longstride
