#include "core/schedule/sample_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/core/schedule/seeds.h"

namespace longstride {
namespace {

void ExpectBijection(uint64_t seed, uint64_t epoch, int64_t size) {
  SCOPED_TRACE(::testing::Message() << "size " << size << " epoch " << epoch);
  const FeistelPermutation permutation(seed, epoch, size);
  std::vector<bool> seen(static_cast<size_t>(size));
  for (int64_t i = 0; i < size; ++i) {
    const int64_t at = permutation(i);
    ASSERT_GE(at, 0);
    ASSERT_LT(at, size);
    ASSERT_FALSE(seen[static_cast<size_t>(at)]);
    seen[static_cast<size_t>(at)] = true;
  }
}

TEST(Permutation, IsABijectionForEverySize) {
  for (int64_t size = 1; size <= 300; ++size) ExpectBijection(1, static_cast<uint64_t>(size), size);
  for (int64_t size : {1023, 1024, 1025, 4095, 4096, 4097, 60000, 65537, 1000003})
    ExpectBijection(2, 0, size);
  ForEachSeed(50, [](Random& random) {
    ExpectBijection(random.NextWord(), random.NextBelow(100), Between(random, 1, 5000));
  });
}

TEST(Permutation, HandlesTheLargestDatasets) {
  const int64_t size = int64_t{1} << 61;
  const FeistelPermutation permutation(1, 1, size);
  for (int64_t i : {int64_t{0}, int64_t{1}, size - 1}) {
    EXPECT_GE(permutation(i), 0);
    EXPECT_LT(permutation(i), size);
  }
}

TEST(Permutation, SendsEveryPositionEverywhereEquallyOften) {
  constexpr int64_t kSize = 10;
  constexpr int kKeys = 20000;
  for (int64_t from : {0, 1, 9}) {
    std::vector<double> counts(kSize);
    for (uint64_t key = 0; key < kKeys; ++key)
      ++counts[static_cast<size_t>(FeistelPermutation(3, key, kSize)(from))];
    double chi = 0;
    for (double c : counts) chi += (c - kKeys / kSize) * (c - kKeys / kSize) / (kKeys / kSize);
    EXPECT_LT(chi, 33.7) << "from " << from;  // 9 degrees of freedom, chance 1e-4
  }
}

TEST(Permutation, NeighboursAreScattered) {
  constexpr int64_t kSize = 60000;
  const FeistelPermutation permutation(4, 0, kSize);
  Moments distance;
  for (int64_t i = 0; i + 1 < kSize; ++i) {
    distance.Add(std::abs(static_cast<double>(permutation(i) - permutation(i + 1))) / kSize);
  }
  EXPECT_NEAR(distance.mean(), 1.0 / 3, 0.01);
}

TEST(SampleOrder, EveryEpochHasItsOwnOrderOfAllSamples) {
  const SampleOrder order(7, 100);
  std::vector<int64_t> first, second;
  order.AppendIndices({0, 100}, first);
  order.AppendIndices({100, 200}, second);
  EXPECT_NE(first, second);
  EXPECT_THAT(second, ::testing::UnorderedElementsAreArray(first));
  std::vector<int64_t> other_seed;
  SampleOrder(8, 100).AppendIndices({0, 100}, other_seed);
  EXPECT_NE(first, other_seed);
}

TEST(SampleOrder, ReadsAcrossEpochsAsItLocates) {
  ForEachSeed(50, [](Random& random) {
    const SampleOrder order(random.NextWord(), Between(random, 1, 50));
    const int64_t begin = Between(random, 0, 200);
    const PositionRange range{begin, begin + Between(random, 0, 150)};
    std::vector<int64_t> indices;
    order.AppendIndices(range, indices);
    ASSERT_EQ(static_cast<int64_t>(indices.size()), range.size());
    for (int64_t i = 0; i < range.size(); ++i) {
      const SampleLocation at = order.Locate(range.begin + i);
      EXPECT_EQ(at.epoch, (range.begin + i) / order.size());
      EXPECT_EQ(at.index, indices[static_cast<size_t>(i)]);
    }
  });
}

TEST(RoundSplit, RanksTakeContiguousStretchesInOrder) {
  const std::vector<PositionRange> round{{1000, 1030}};
  const std::vector<int64_t> batches{3, 5, 2};
  EXPECT_EQ(RoundSize(3, batches), 30);
  EXPECT_THAT(RankPositions(round, 3, batches, 0),
              ::testing::ElementsAre(PositionRange{1000, 1009}));
  EXPECT_THAT(RankPositions(round, 3, batches, 1),
              ::testing::ElementsAre(PositionRange{1009, 1024}));
  EXPECT_THAT(StepPositions(round, 3, batches, 1, 2),
              ::testing::ElementsAre(PositionRange{1019, 1024}));
}

TEST(RoundSplit, StepsPartitionTheRoundExactly) {
  ForEachSeed(100, [](Random& random) {
    std::vector<int64_t> batches(static_cast<size_t>(Between(random, 1, 6)));
    for (int64_t& b : batches) b = Between(random, 0, 7);
    const int64_t steps = Between(random, 1, 5);
    const int64_t hole = Between(random, 0, 9);  // holes come first
    const int64_t size = RoundSize(steps, batches);
    const std::vector<PositionRange> round =
        Slice(std::vector<PositionRange>{{5, 5 + hole}, {100, 100 + size}}, 0, size);
    PositionSet all;
    for (int rank = 0; rank < static_cast<int>(batches.size()); ++rank) {
      std::vector<PositionRange> part;
      for (int64_t h = 0; h < steps; ++h) {
        for (const PositionRange& r : StepPositions(round, steps, batches, rank, h))
          part.push_back(r);
      }
      ASSERT_EQ(TotalSize(part), steps * batches[static_cast<size_t>(rank)]);
      PositionSet whole, pieces;
      for (const PositionRange& r : RankPositions(round, steps, batches, rank)) whole.Add(r);
      for (const PositionRange& r : part) {
        ASSERT_FALSE(all.Intersects(r));
        all.Add(r);
        pieces.Add(r);
      }
      ASSERT_EQ(whole, pieces);
    }
    ASSERT_EQ(all.size(), size);
  });
}

}  // namespace
}  // namespace longstride
