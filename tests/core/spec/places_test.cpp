#include "core/spec/places.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace longstride {
namespace {

using testing::ElementsAre;

WorkerGroup Group(const std::string& name, int64_t least, int64_t most) {
  WorkerGroup group;
  group.name = name;
  group.min_replicas = least;
  group.max_replicas = most;
  return group;
}

std::vector<std::string> Deal(int64_t replicas, std::vector<WorkerGroup> groups) {
  TrainingJobSpec spec;
  spec.replicas = replicas;
  spec.workers = std::move(groups);
  std::vector<std::string> names;
  for (const WorkerPlace& place : DealReplicas(spec)) names.push_back(place.Name());
  return names;
}

TEST(DealReplicas, OneGroupTakesAll) {
  EXPECT_THAT(Deal(3, {Group("worker", 0, 10)}), ElementsAre("worker-0", "worker-1", "worker-2"));
}

TEST(DealReplicas, MinimaComeFirstThenTurnsUpToTheMaxima) {
  EXPECT_THAT(Deal(6, {Group("b", 0, 10), Group("a", 3, 4), Group("c", 0, 1)}),
              ElementsAre("a-0", "a-1", "a-2", "a-3", "b-0", "c-0"));
}

TEST(DealReplicas, PlacesAreSortedAsRanksAre) {
  EXPECT_THAT(Deal(12, {Group("w", 0, 11), Group("v", 1, 1)}),
              ElementsAre("v-0", "w-0", "w-1", "w-2", "w-3", "w-4", "w-5", "w-6", "w-7", "w-8",
                          "w-9", "w-10"));
}

}  // namespace
}  // namespace longstride
