// The rendezvous store of one generation, kept by the coordinator. Keys that were read once are
// kept here: a generation's keys do not change once they are set. Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/protocol/messages.h"
#include "runtime/collective/collective.h"
#include "runtime/membership/membership.h"

namespace longstride {

class CoordinatorStore final : public RendezvousStore {
 public:
  // `expected`: how many keys the members will have set between them when rendezvous is done, as
  // far as is known (one per member for one Gloo context). The first read waits a moment for that
  // many, so that one answer brings them all; a wrong guess costs at most that moment.
  CoordinatorStore(std::shared_ptr<CoordinatorClient> client, GenerationId generation,
                   int64_t expected);

  Status Set(const std::string& key, const std::vector<uint8_t>& value) override;
  // kTransient when the timeout passes; kLostPeer when the generation is over.
  Result<std::vector<uint8_t>> Get(const std::string& key, Duration timeout) override;

 private:
  const std::shared_ptr<CoordinatorClient> client_;
  const GenerationId generation_;
  const int64_t expected_;
  const SystemClock clock_;
  std::mutex mutex_;
  std::map<std::string, std::vector<uint8_t>> known_;
};

}  // namespace longstride
