// Seeds of the simulation. LONGSTRIDE_SEEDS=10000 runs as many; LONGSTRIDE_SEED=17 runs one again.
#include "tests/controller/coordinator/simulation.h"

#include <gmock/gmock.h>

#include <cstdlib>

namespace longstride {
namespace {

int64_t FromEnvironment(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::atoll(text) : otherwise;
}

TEST(Simulation, WithoutFaultsEveryJobCompletesInOneGeneration) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Simulation simulation({.seed = seed});
    ASSERT_EQ(simulation.Run(), "") << "seed " << seed;
    ASSERT_EQ(simulation.counts().generations, 1) << "seed " << seed;
  }
}

TEST(Simulation, ACoordinatorThatIsStartedAnewBreaksNoGeneration) {
  int crashes = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Simulation simulation({.seed = seed, .fault_steps = 4000, .only_the_coordinator = true});
    ASSERT_EQ(simulation.Run(), "") << "seed " << seed;
    ASSERT_EQ(simulation.counts().generations, 1) << "seed " << seed;
    ASSERT_EQ(simulation.counts().lost, 0) << "seed " << seed;
    crashes += simulation.counts().crashes;
  }
  EXPECT_GT(crashes, 200);
}

TEST(Simulation, WhateverHappensNoSampleIsLostOrCountedTwiceAndTheJobCompletes) {
  const int64_t only = FromEnvironment("LONGSTRIDE_SEED", 0);
  const int64_t first = only > 0 ? only : 1;
  const int64_t last = only > 0 ? only : FromEnvironment("LONGSTRIDE_SEEDS", 300);
  Simulation::Counts all;
  for (int64_t seed = first; seed <= last; ++seed) {
    Simulation simulation({.seed = static_cast<uint64_t>(seed), .fault_steps = 4000});
    ASSERT_EQ(simulation.Run(), "") << "LONGSTRIDE_SEED=" << seed;
    const Simulation::Counts& c = simulation.counts();
    all.lost += c.lost;
    all.frozen += c.frozen;
    all.cut_off += c.cut_off;
    all.peers_cut += c.peers_cut;
    all.left += c.left;
    all.joined += c.joined;
    all.generations += c.generations;
    all.completed_rounds += c.completed_rounds;
    all.scaled += c.scaled;
    all.restarts += c.restarts;
    all.crashes += c.crashes;
    all.registered += c.registered;
  }
  std::printf(
      "seeds %lld to %lld: %d workers lost, %d frozen, %d cut off, %d from a peer, %d left, %d "
      "joined, %d "
      "generations, %d pending rounds completed, %d times scaled, %d restarts of all, %d crashes "
      "of the coordinator, %d registrations\n",
      static_cast<long long>(first), static_cast<long long>(last), all.lost, all.frozen,
      all.cut_off, all.peers_cut, all.left, all.joined, all.generations, all.completed_rounds,
      all.scaled, all.restarts, all.crashes, all.registered);
  if (only > 0) return;
  EXPECT_GT(all.lost, last) << "the faults must really happen";
  EXPECT_GT(all.left, last / 4);
  EXPECT_GT(all.completed_rounds, last / 4);
  EXPECT_GT(all.restarts, 0);
  EXPECT_GT(all.crashes, last);
}

}  // namespace
}  // namespace longstride
