// Our RendezvousStore as c10d wants to see it, and the border to c10d's exceptions. Internal to the
// backends, which are the only files that may include LibTorch here.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <vector>

#include "core/base/format.h"
#include "runtime/collective/collective.h"

namespace longstride {

[[nodiscard]] inline std::chrono::milliseconds Until(TimePoint deadline) {
  using std::chrono::milliseconds;
  const auto left = std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now());
  return std::max(left, milliseconds(1));
}

// Every attempt to connect has keys of its own (`prefix`), so a value that was fetched once never
// changes.
class C10dStore final : public c10d::Store {
 public:
  C10dStore(std::shared_ptr<RendezvousStore> store, std::string prefix,
            std::chrono::milliseconds timeout)
      : c10d::Store(timeout), store_(std::move(store)), prefix_(std::move(prefix)) {}

  c10::intrusive_ptr<Store> clone() override {
    return c10::make_intrusive<C10dStore>(store_, prefix_, timeout_);
  }
  void set(const std::string& key, const std::vector<uint8_t>& value) override {
    const Status status = store_->Set(prefix_ + key, value);
    TORCH_CHECK(status.ok(), status.error().message);
  }
  std::vector<uint8_t> get(const std::string& key) override { return Fetch(key, timeout_); }
  void wait(const std::vector<std::string>& keys) override { wait(keys, timeout_); }
  void wait(const std::vector<std::string>& keys,
            const std::chrono::milliseconds& timeout) override {
    const TimePoint deadline = std::chrono::steady_clock::now() + timeout;
    for (const std::string& key : keys) Fetch(key, Until(deadline));
  }
  bool check(const std::vector<std::string>& keys) override {
    return std::all_of(keys.begin(), keys.end(), [&](const std::string& key) {
      return fetched_.contains(key) || store_->Get(prefix_ + key, Duration::zero()).ok();
    });
  }
  // The rendezvous of Gloo and NCCL needs none of these.
  int64_t add(const std::string&, int64_t) override { TORCH_CHECK(false, "the store cannot add"); }
  bool deleteKey(const std::string&) override { return false; }
  int64_t getNumKeys() override { TORCH_CHECK(false, "the store cannot count"); }

 private:
  const std::vector<uint8_t>& Fetch(const std::string& key, Duration timeout) {
    auto found = fetched_.find(key);
    if (found == fetched_.end()) {
      auto value = store_->Get(prefix_ + key, timeout);
      TORCH_CHECK(value.ok(), value.error().message);
      found = fetched_.emplace(key, std::move(*value)).first;
    }
    return found->second;
  }

  std::shared_ptr<RendezvousStore> store_;
  std::string prefix_;
  std::map<std::string, std::vector<uint8_t>> fetched_;
};

// The border to c10d: what `body` throws becomes an Error.
template <typename Body>
Status Guarded(ErrorCode code, const char* what, Body body) {
  try {
    return body();
  } catch (const c10::Error& e) {
    return Error{code, Format("%s: %s", what, e.what_without_backtrace())};
  } catch (const std::exception& e) {
    return Error{code, Format("%s: %s", what, e.what())};
  }
}

}  // namespace longstride
