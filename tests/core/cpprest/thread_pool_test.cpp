#include "core/cpprest/thread_pool.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <iterator>
#include <latch>
#include <thread>

namespace longstride {
namespace {

int64_t CountThreads() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"),
                       std::filesystem::directory_iterator());
}

TEST(CpprestPool, IsStartedOnceWithFewThreads) {
  // The thread sanitizer begins one of its own with the first that a program begins.
  std::latch end(1);
  const std::jthread first([&end] { end.wait(); });
  const int64_t before = CountThreads();
  StartCpprestPool();
  EXPECT_EQ(CountThreads(), before + kCpprestThreads);
  StartCpprestPool();
  EXPECT_EQ(CountThreads(), before + kCpprestThreads);
  end.count_down();
}

}  // namespace
}  // namespace longstride
