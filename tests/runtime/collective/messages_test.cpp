// Collectives out of messages, over mailboxes in memory; contract_test.cpp runs them over Gloo.
#include "runtime/collective/messages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "runtime/collective/traffic.h"

namespace longstride {
namespace {

struct Mail {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::pair<int, int>, std::deque<std::vector<std::byte>>> letters;  // by (from, to)
  int64_t left = INT64_MAX;  // letters that are still delivered
};

class Delivered final : public Transfer {
 public:
  Status Wait() override { return Status(); }
};

// Takes its letter when it is waited for, so receives must be waited for in order.
class Awaited final : public Transfer {
 public:
  Awaited(Mail& mail, std::pair<int, int> way, std::span<std::byte> to)
      : mail_(mail), way_(way), to_(to) {}
  Status Wait() override {
    std::unique_lock lock(mail_.mutex);
    auto& letters = mail_.letters[way_];
    mail_.changed.wait(lock, [&] { return !letters.empty() || mail_.left <= 0; });
    if (letters.empty()) return LostPeerError("no more letters");
    const std::vector<std::byte> letter = std::move(letters.front());
    letters.pop_front();
    EXPECT_EQ(letter.size(), to_.size());
    std::memcpy(to_.data(), letter.data(), std::min(letter.size(), to_.size()));
    return Status();
  }

 private:
  Mail& mail_;
  const std::pair<int, int> way_;
  const std::span<std::byte> to_;
};

class MailMessenger final : public Messenger {
 public:
  MailMessenger(Mail& mail, int rank, int size) : mail_(mail), rank_(rank), size_(size) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }

  Result<std::unique_ptr<Transfer>> StartSend(std::span<const std::byte> data, int to) override {
    EXPECT_NE(to, rank_);
    EXPECT_FALSE(data.empty());
    const std::lock_guard lock(mail_.mutex);
    if (mail_.left-- > 0) mail_.letters[{rank_, to}].emplace_back(data.begin(), data.end());
    mail_.changed.notify_all();
    sent.sent += static_cast<int64_t>(data.size());
    return std::unique_ptr<Transfer>(std::make_unique<Delivered>());
  }
  Result<std::unique_ptr<Transfer>> StartReceive(std::span<std::byte> data, int from) override {
    sent.received += static_cast<int64_t>(data.size());
    return std::unique_ptr<Transfer>(
        std::make_unique<Awaited>(mail_, std::pair(from, rank_), data));
  }

  WireBytes sent;

 private:
  Mail& mail_;
  const int rank_, size_;
};

// body(messenger) on a thread for each member. Returns what each sent and received.
std::vector<WireBytes> RunEach(int size, const std::function<void(Messenger&)>& body,
                               int64_t letters = INT64_MAX) {
  Mail mail;
  mail.left = letters;
  std::vector<WireBytes> bytes(size);
  std::vector<std::thread> threads;
  for (int r = 0; r < size; ++r) {
    threads.emplace_back([&, r] {
      MailMessenger messenger(mail, r, size);
      body(messenger);
      bytes[r] = messenger.sent;
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (letters == INT64_MAX) {
    for (const auto& [way, left] : mail.letters)
      EXPECT_TRUE(left.empty()) << "a letter nobody read";
  }
  return bytes;
}

class MessagesTest : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Members, MessagesTest, testing::Values(1, 2, 3, 4, 5, 8));

TEST_P(MessagesTest, AllReduceAddsUpAndSendsWhatTheRingNeeds) {
  const int size = GetParam();
  for (const size_t count : {0, 1, 2, 3, 5, 8, 1000, 4096, 700001}) {
    const auto bytes = RunEach(size, [&](Messenger& m) {
      std::vector<float> data(count);
      for (size_t i = 0; i < count; ++i) data[i] = static_cast<float>((m.rank() + 1) * (i % 1000));
      ASSERT_TRUE(AllReduceSum(m, std::span<float>(data)).ok());
      for (size_t i = 0; i < count; ++i) {
        ASSERT_EQ(data[i], static_cast<float>(size * (size + 1) / 2 * (i % 1000))) << i;
      }
    });
    const WireBytes ring = AllReduceBytes(static_cast<int64_t>(count * sizeof(float)), size);
    for (const WireBytes& b : bytes) {
      EXPECT_NEAR(b.sent, ring.sent, 2 * size * sizeof(float)) << "parts differ by an element";
      EXPECT_NEAR(b.received, ring.received, 2 * size * sizeof(float));
    }
  }
}

TEST_P(MessagesTest, AllReduceHasTheSameBitsEverywhere) {
  std::vector<std::vector<double>> sums(GetParam());
  RunEach(GetParam(), [&](Messenger& m) {
    std::vector<double> data(300001);
    for (size_t i = 0; i < data.size(); ++i)
      data[i] = std::sin(m.rank() + 3.0 * i) * (i % 7 ? 1 : 1e9);
    ASSERT_TRUE(AllReduceSum(m, std::span<double>(data)).ok());
    sums[m.rank()] = std::move(data);
  });
  for (const auto& sum : sums) EXPECT_EQ(sum, sums[0]);
}

TEST_P(MessagesTest, TheOthersSendWhatIsBooked) {
  const int size = GetParam();
  constexpr size_t kBytes = 3000001;
  auto bytes = RunEach(size, [](Messenger& m) {
    std::vector<std::byte> mine(kBytes, std::byte(m.rank())), all(kBytes * m.size());
    ASSERT_TRUE(AllGather(m, mine, all).ok());
    for (int r = 0; r < m.size(); ++r) EXPECT_EQ(all[kBytes * r + kBytes / 2], std::byte(r));
  });
  for (const WireBytes& b : bytes) EXPECT_EQ(b.sent, AllGatherBytes(kBytes, size).sent);

  bytes = RunEach(size, [](Messenger& m) {
    std::vector<std::byte> send(1001 * m.size(), std::byte(m.rank())), receive(send.size());
    ASSERT_TRUE(AllToAll(m, send, receive).ok());
    for (int r = 0; r < m.size(); ++r) EXPECT_EQ(receive[1001 * r + 1000], std::byte(r));
  });
  for (const WireBytes& b : bytes) EXPECT_EQ(b.sent, AllToAllBytes(1001 * size, size).sent);

  for (int root = 0; root < size; ++root) {
    bytes = RunEach(size, [&](Messenger& m) {
      std::vector<std::byte> data(kBytes, std::byte(m.rank()));
      ASSERT_TRUE(Broadcast(m, data, root).ok());
      EXPECT_EQ(std::ranges::count(data, std::byte(root)), kBytes);
    });
    for (int r = 0; r < size; ++r) {
      EXPECT_EQ(bytes[r].sent, BroadcastBytes(kBytes, r, size, root).sent);
      EXPECT_EQ(bytes[r].received, BroadcastBytes(kBytes, r, size, root).received);
    }
  }
}

TEST_P(MessagesTest, NobodyPassesABarrierBeforeAllHaveCome) {
  std::atomic<int> come{0};
  RunEach(GetParam(), [&](Messenger& m) {
    ++come;
    ASSERT_TRUE(Barrier(m).ok());
    EXPECT_EQ(come, m.size());
  });
}

TEST(Messages, ALostPeerEndsEveryCall) {
  for (int64_t letters = 0; letters < 20; ++letters) {
    RunEach(
        3,
        [](Messenger& m) {
          std::vector<float> data(1 << 20);
          EXPECT_EQ(AllReduceSum(m, std::span<float>(data)).error().code, ErrorCode::kLostPeer);
        },
        letters);
  }
}

}  // namespace
}  // namespace longstride
