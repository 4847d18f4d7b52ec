#include <cmath>
#include <cstring>
#include <future>
#include <mutex>
#include <numeric>

#include "core/base/random.h"
#include "tests/runtime/collective/members.h"

namespace longstride {
namespace {

constexpr uint64_t kSeed = 7;
constexpr Purpose kPurpose = Purpose::kModel;
constexpr auto kForever = std::chrono::hours(1);

// Values over many magnitudes, so that the order of a sum shows in its bits.
template <typename T>
std::vector<T> Values(int rank, size_t count) {
  SeededRandom random(kSeed + static_cast<uint64_t>(rank) * 1000003 + count);
  std::vector<T> values(count);
  for (T& v : values) {
    v = static_cast<T>(random.NextNormal() * std::exp2(static_cast<double>(random.NextBelow(20))));
  }
  return values;
}

template <typename T>
void ExpectSumsWithTheSameBits(const Members& members, size_t count, double tolerance) {
  std::vector<std::vector<T>> sums(members.size());
  RunMembers(members, [&](Collective& c) {
    auto data = Values<T>(c.rank(), count);
    const Status status = c.AllReduceSum(std::span<T>(data), kPurpose);
    ASSERT_TRUE(status.ok()) << status.error().message;
    sums[c.rank()] = std::move(data);
  });
  std::vector<double> exact(count), magnitude(count);
  for (size_t r = 0; r < members.size(); ++r) {
    const auto values = Values<T>(static_cast<int>(r), count);
    for (size_t i = 0; i < count; ++i) {
      exact[i] += values[i];
      magnitude[i] += std::abs(static_cast<double>(values[i]));
    }
  }
  for (size_t i = 0; i < count; ++i)
    ASSERT_NEAR(sums[0][i], exact[i], tolerance * magnitude[i]) << i;
  for (const auto& sum : sums) {
    ASSERT_EQ(sum.size(), count);
    EXPECT_EQ(std::memcmp(sum.data(), sums[0].data(), count * sizeof(T)), 0)
        << count << " elements";
  }
}

TEST_P(CollectiveContract, AllReduceGivesEveryMemberTheSumWithTheSameBits) {
  for (const size_t count : {1, 2, 3, 7, 64, 1000, 4097, 300001}) {
    ExpectSumsWithTheSameBits<float>(members_, count, 1e-6);
    ExpectSumsWithTheSameBits<double>(members_, count, 1e-14);
  }
}

TEST_P(CollectiveContract, AllReduceOfTheSameInputsGivesTheSameBitsAgain) {
  std::vector<float> first, second;
  for (auto* result : {&first, &second}) {
    RunMembers(members_, [&](Collective& c) {
      auto data = Values<float>(c.rank(), 5000);
      ASSERT_TRUE(c.AllReduceSum(std::span<float>(data), kPurpose).ok());
      if (c.rank() == 0) *result = data;
    });
  }
  EXPECT_EQ(std::memcmp(first.data(), second.data(), first.size() * sizeof(float)), 0);
}

TEST_P(CollectiveContract, AllGatherPutsEveryMembersBytesAtItsRank) {
  for (const size_t bytes : {1, 5, 4096, 100003}) {
    RunMembers(members_, [&](Collective& c) {
      const std::vector<std::byte> mine(bytes, std::byte(c.rank() + 1));
      std::vector<std::byte> all(bytes * c.size());
      const Status status = c.AllGather(mine, all, kPurpose);
      ASSERT_TRUE(status.ok()) << status.error().message;
      for (size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i], std::byte(i / bytes + 1));
    });
  }
}

TEST_P(CollectiveContract, AllToAllSendsPartRToRankR) {
  for (const size_t part : {1, 3, 1000, 65537}) {
    RunMembers(members_, [&](Collective& c) {
      std::vector<std::byte> send(part * c.size()), receive(send.size());
      for (size_t i = 0; i < send.size(); ++i) send[i] = std::byte(16 * c.rank() + i / part);
      const Status status = c.AllToAll(send, receive, kPurpose);
      ASSERT_TRUE(status.ok()) << status.error().message;
      for (size_t i = 0; i < receive.size(); ++i) {
        ASSERT_EQ(receive[i], std::byte(16 * (i / part) + c.rank()));
      }
    });
  }
}

TEST_P(CollectiveContract, BroadcastCopiesTheRootsBytes) {
  for (int root = 0; root < GetParam().size; ++root) {
    RunMembers(members_, [&](Collective& c) {
      std::vector<std::byte> data(70001, std::byte(c.rank()));
      const Status status = c.Broadcast(data, root, kPurpose);
      ASSERT_TRUE(status.ok()) << status.error().message;
      for (const std::byte b : data) ASSERT_EQ(b, std::byte(root));
    });
  }
}

TEST_P(CollectiveContract, SendGoesToOneMemberAloneInOrder) {
  if (GetParam().size == 1) return;
  const int last = GetParam().size - 1;
  RunMembers(members_, [&](Collective& c) {
    for (const size_t bytes : {1, 16, 300001}) {
      std::vector<std::byte> data(bytes, std::byte(c.rank()));
      Status status;
      if (c.rank() == 0) status = c.Send(data, last, Purpose::kState);
      if (c.rank() == last) status = c.Receive(data, 0, Purpose::kState);
      ASSERT_TRUE(status.ok()) << status.error().message;
      if (c.rank() == last) {
        EXPECT_EQ(data, std::vector<std::byte>(bytes, std::byte(0)));
      }
    }
    ASSERT_TRUE(c.Barrier().ok());
  });
  EXPECT_EQ(members_[0]->traffic().sent[static_cast<int>(Purpose::kState)], 300018);
  EXPECT_EQ(members_[last]->traffic().received[static_cast<int>(Purpose::kState)], 300018);
}

TEST_P(CollectiveContract, ASenderThatLeavesIsALostPeer) {
  if (GetParam().size == 1) return;
  members_.back().reset();
  std::vector<std::byte> data(100);
  members_[0]->SetTimeout(kForever);
  EXPECT_EQ(members_[0]->Receive(data, GetParam().size - 1, kPurpose).error().code,
            ErrorCode::kLostPeer);
}

TEST_P(CollectiveContract, BarrierWaitsForAll) {
  std::atomic<int> arrived{0};
  RunMembers(members_, [&](Collective& c) {
    for (int round = 1; round <= 20; ++round) {
      ++arrived;
      ASSERT_TRUE(c.Barrier().ok());
      EXPECT_GE(arrived, round * c.size());
      ASSERT_TRUE(c.Barrier().ok());
    }
  });
}

TEST_P(CollectiveContract, EveryByteSentIsReceivedAndBelongsToItsPurpose) {
  const int size = GetParam().size;
  constexpr int64_t kBytes = 48000;
  RunMembers(members_, [&](Collective& c) {
    std::vector<float> model(kBytes / sizeof(float));
    ASSERT_TRUE(c.AllReduceSum(std::span<float>(model), Purpose::kModel).ok());
    std::vector<std::byte> mine(kBytes), all(kBytes * size);
    ASSERT_TRUE(c.AllGather(mine, all, Purpose::kEvaluation).ok());
    std::vector<std::byte> send(100 * size), receive(100 * size);
    ASSERT_TRUE(c.AllToAll(send, receive, Purpose::kStatistics).ok());
    ASSERT_TRUE(c.Broadcast(mine, size - 1, Purpose::kState).ok());
  });
  int64_t sent = 0, received = 0;
  for (const auto& member : members_) {
    const Traffic& t = member->traffic();
    EXPECT_EQ(t.sent[static_cast<int>(Purpose::kModel)], 2 * (size - 1) * kBytes / size);
    EXPECT_EQ(t.sent[static_cast<int>(Purpose::kEvaluation)], (size - 1) * kBytes);
    EXPECT_EQ(t.sent[static_cast<int>(Purpose::kStatistics)], (size - 1) * 100);
    EXPECT_EQ(t.received[static_cast<int>(Purpose::kState)],
              member->rank() == size - 1 ? 0 : kBytes);
    EXPECT_EQ(t.sent[static_cast<int>(Purpose::kControl)], 0);
    sent += t.TotalSent();
    received += t.TotalReceived();
  }
  EXPECT_EQ(sent, received);
}

TEST_P(CollectiveContract, BuffersThatDoNotFitAreABugOfTheCaller) {
  std::vector<std::byte> one(1), many(members_.size() + 1);
  EXPECT_EQ(members_[0]->AllGather(one, many, kPurpose).error().code, ErrorCode::kBug);
  EXPECT_EQ(members_[0]->AllToAll(many, one, kPurpose).error().code, ErrorCode::kBug);
  EXPECT_EQ(members_[0]->Broadcast(one, GetParam().size, kPurpose).error().code, ErrorCode::kBug);
}

TEST_P(CollectiveContract, AbortWakesABlockedMemberAndItsPeersLearnOfIt) {
  if (GetParam().size == 1) return;  // nothing can block
  members_[0]->SetTimeout(kForever);
  auto blocked = std::async(std::launch::async, [&] { return members_[0]->Barrier(); });
  members_[0]->Abort();
  EXPECT_EQ(blocked.get().error().code, ErrorCode::kLostPeer);
  EXPECT_FALSE(members_[0]->Barrier().ok());
  members_[1]->SetTimeout(kForever);
  EXPECT_EQ(members_[1]->Barrier().error().code, ErrorCode::kLostPeer);
}

TEST_P(CollectiveContract, ADeadlineEndsACallAndTheObject) {
  if (GetParam().size == 1) return;
  members_[0]->SetTimeout(std::chrono::milliseconds(20));
  std::vector<float> data(100000);
  EXPECT_EQ(members_[0]->AllReduceSum(std::span<float>(data), kPurpose).error().code,
            ErrorCode::kTransient);
  members_[0]->SetTimeout(kForever);
  EXPECT_FALSE(members_[0]->AllReduceSum(std::span<float>(data), kPurpose).ok());
}

TEST_P(CollectiveContract, AMemberThatLeavesIsALostPeer) {
  if (GetParam().size == 1) return;
  members_.back().reset();
  std::vector<float> data(100000);
  members_[0]->SetTimeout(kForever);
  EXPECT_EQ(members_[0]->AllReduceSum(std::span<float>(data), kPurpose).error().code,
            ErrorCode::kLostPeer);
}

}  // namespace
}  // namespace longstride
