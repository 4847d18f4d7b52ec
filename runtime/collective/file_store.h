// A RendezvousStore in a folder that all members see: one file a key, written under another name
// and then renamed, so that a reader finds a whole value or none. For tests, benchmarks and jobs
// without a coordinator.
#pragma once

#include <string>
#include <vector>

#include "runtime/collective/collective.h"

namespace longstride {

// Thread-safe. The folder must exist and be fresh for each generation; nobody cleans it up.
class FileStore final : public RendezvousStore {
 public:
  explicit FileStore(std::string folder) : folder_(std::move(folder)) {}
  Status Set(const std::string& key, const std::vector<uint8_t>& value) override;
  // Polls every few milliseconds.
  Result<std::vector<uint8_t>> Get(const std::string& key, Duration timeout) override;

 private:
  [[nodiscard]] std::string PathOf(const std::string& key) const;
  const std::string folder_;
};

}  // namespace longstride
