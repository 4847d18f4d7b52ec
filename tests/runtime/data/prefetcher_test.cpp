#include "runtime/data/prefetcher.h"

#include <gtest/gtest.h>

#include <atomic>
#include <new>

namespace longstride::data {
namespace {

// A batch's labels are its indices; counts reads and the most that were ever ahead of the consumer.
class CountingDataset final : public Dataset {
 public:
  [[nodiscard]] int64_t size() const override { return 1000; }
  [[nodiscard]] const DataShape& shape() const override { return shape_; }
  void Read(std::span<const int64_t> indices, Batch& batch) const override {
    ++reads;
    if (indices.size() > too_many) throw std::bad_alloc();
    batch.size = static_cast<int64_t>(indices.size());
    batch.labels.assign(indices.begin(), indices.end());
  }
  mutable std::atomic<int> reads{0};
  size_t too_many = 1000;

 private:
  DataShape shape_;
};

TEST(Prefetcher, HandsBatchesOutInOrder) {
  const CountingDataset dataset;
  Prefetcher prefetcher(dataset);
  for (int64_t i = 0; i < 200; ++i) prefetcher.Enqueue({i, i + 1});
  for (int64_t i = 0; i < 200; ++i) {
    const Batch* batch = prefetcher.Next();
    ASSERT_NE(batch, nullptr);
    EXPECT_EQ(batch->labels, (std::vector<int64_t>{i, i + 1}));
    EXPECT_LE(dataset.reads, i + 1 + 3) << "at most depth ready and one being read";
  }
  EXPECT_EQ(prefetcher.Next(), nullptr);
}

TEST(Prefetcher, TakesMoreAfterItRanDry) {
  const CountingDataset dataset;
  Prefetcher prefetcher(dataset, 1);
  EXPECT_EQ(prefetcher.Next(), nullptr);
  for (int64_t round = 0; round < 20; ++round) {
    prefetcher.Enqueue({round});
    const Batch* batch = prefetcher.Next();
    ASSERT_NE(batch, nullptr);
    EXPECT_EQ(batch->labels, std::vector<int64_t>{round});
    EXPECT_EQ(prefetcher.Next(), nullptr);
  }
}

TEST(Prefetcher, ABatchThatMemoryDoesNotHoldEndsTheRowUntilItIsCleared) {
  CountingDataset dataset;
  dataset.too_many = 2;
  Prefetcher prefetcher(dataset);
  prefetcher.Enqueue({1});
  prefetcher.Enqueue({2, 3, 4});
  prefetcher.Enqueue({5});
  EXPECT_NE(prefetcher.Next(), nullptr);
  EXPECT_EQ(prefetcher.Next(), nullptr);
  EXPECT_TRUE(prefetcher.out_of_memory());
  prefetcher.Enqueue({6});
  EXPECT_EQ(prefetcher.Next(), nullptr) << "never a later batch in its place";
  prefetcher.Clear();
  EXPECT_FALSE(prefetcher.out_of_memory());
  prefetcher.Enqueue({7});
  const Batch* batch = prefetcher.Next();
  ASSERT_NE(batch, nullptr);
  EXPECT_EQ(batch->labels, std::vector<int64_t>{7});
}

TEST(Prefetcher, ClearForgetsWhatWasAskedFor) {
  const CountingDataset dataset;
  Prefetcher prefetcher(dataset);
  for (int64_t round = 0; round < 50; ++round) {
    for (int64_t i = 0; i < 10; ++i) prefetcher.Enqueue({i});
    if (round % 2 == 0) {
      EXPECT_NE(prefetcher.Next(), nullptr);
    }
    prefetcher.Clear();
    prefetcher.Enqueue({100 + round});
    const Batch* batch = prefetcher.Next();
    ASSERT_NE(batch, nullptr);
    EXPECT_EQ(batch->labels, std::vector<int64_t>{100 + round});
    EXPECT_EQ(prefetcher.Next(), nullptr);
  }
}

TEST(Prefetcher, StopsWithWorkLeft) {
  const CountingDataset dataset;
  for (int i = 0; i < 50; ++i) {
    Prefetcher prefetcher(dataset);
    for (int64_t k = 0; k < 100; ++k) prefetcher.Enqueue({k});
    if (i % 2 == 0) {
      EXPECT_NE(prefetcher.Next(), nullptr);
    }
  }
  EXPECT_LT(dataset.reads, 50 * 5) << "the destructor does not read what nobody will take";
}

}  // namespace
}  // namespace longstride::data
