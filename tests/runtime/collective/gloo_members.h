// Makes Gloo members over loopback, with a folder as their store.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "runtime/collective/file_store.h"
#include "tests/runtime/collective/members.h"

namespace longstride {

// A fresh folder that goes away with the object.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = testing::TempDir() + "longstride-XXXXXX";
    if (!mkdtemp(name.data())) std::abort();
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline GlooOptions LoopbackOptions(int rank, int size, const char* address = "127.0.0.1") {
  GlooOptions options;
  options.rank = rank;
  options.size = size;
  options.address = address;
  return options;
}

inline Members MakeGlooMembers(int size, const char* address = "127.0.0.1") {
  const ScratchFolder folder;
  const auto store = std::make_shared<FileStore>(folder.path());
  Members members(size);
  std::vector<std::thread> threads;
  for (int r = 0; r < size; ++r) {
    threads.emplace_back([&, r] {
      auto made = MakeGlooCollective(LoopbackOptions(r, size, address), store);
      if (!made.ok()) {
        ADD_FAILURE() << made.error().message;
        std::abort();
      }
      members[r] = std::move(*made);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return members;
}

}  // namespace longstride
