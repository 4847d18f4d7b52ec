// The manifests that are shipped are valid.
#include <gtest/gtest.h>

#include <filesystem>

#include "core/spec/to_json.h"
#include "tests/core/spec/spec_testing.h"

namespace longstride {
namespace {

TEST(Manifests, AreValidAndRoundTrip) {
  int count = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(LONGSTRIDE_SOURCE_DIR "/manifests")) {
    // install.yaml installs the operator.
    if (entry.path().extension() != ".yaml" || entry.path().stem() == "install") continue;
    ++count;
    const Result<TrainingJob> job = LoadTrainingJob(entry.path().string());
    ASSERT_TRUE(job.ok()) << job.error().message;
    EXPECT_EQ(job->metadata.name, entry.path().stem().string());
    const ParsedJob again = ParseTrainingJobJson(ToJson(*job));
    ASSERT_TRUE(again.ok()) << entry.path() << "\n" << FaultsOf(again);
    EXPECT_EQ(ToJson(*again.job), ToJson(*job));
  }
  EXPECT_GE(count, 5);
}

}  // namespace
}  // namespace longstride
