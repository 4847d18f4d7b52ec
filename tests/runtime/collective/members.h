// Runs the members of one generation as threads of a test.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "runtime/collective/collective.h"

namespace longstride {

using Members = std::vector<std::unique_ptr<Collective>>;
using CollectiveFactory = std::function<Members(int size)>;

// body(member) on a thread for each member; returns when all have.
inline void RunMembers(const Members& members, const std::function<void(Collective&)>& body) {
  std::vector<std::thread> threads;
  for (const auto& member : members) threads.emplace_back([&] { body(*member); });
  for (std::thread& thread : threads) thread.join();
}

// What every implementation promises; contract_test.cpp holds the tests, and each implementation's
// program instantiates them for its factory and several sizes.
struct ContractCase {
  const char* name;
  CollectiveFactory make;
  int size;
};
class CollectiveContract : public testing::TestWithParam<ContractCase> {
 protected:
  CollectiveContract() : members_(GetParam().make(GetParam().size)) {}
  Members members_;
};

inline std::string ContractName(const testing::TestParamInfo<ContractCase>& info) {
  return std::string(info.param.name) + std::to_string(info.param.size);
}

}  // namespace longstride
