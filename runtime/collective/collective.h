// Collective operations among the members of one generation. One object lives for one generation
// and is thrown away when the membership changes. Every member must call the same operations in the
// same order.
//
// Each call blocks until it is done, nothing has moved for its time limit, or Abort is called from
// another thread; then it returns kLostPeer (a peer went away or the object was aborted) or
// kTransient (the limit). A call waits for members that are slow, however slow: that they live is
// others' to find out (heartbeats, pings and each worker's watch, which lead to Abort).
// After any failure the object is dead: every later call fails at once. Buffers are host memory and
// must stay valid until the call returns; on failure their content is unspecified, so commit
// results only on success.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"

namespace longstride {

// A last resort: it must be longer than the slowest member's local steps, evaluation or checkpoint,
// for which the others wait in a collective.
inline constexpr Duration kStallLimit = std::chrono::hours(1);

// What bytes were sent for, in the order of kPurposeNames (core/protocol/messages.h).
enum class Purpose { kModel, kStatistics, kBuffers, kState, kEvaluation, kControl };
inline constexpr int kPurposeCount = 6;

// Payload bytes that this member put on and took off the network, by purpose.
struct Traffic {
  int64_t sent[kPurposeCount] = {};
  int64_t received[kPurposeCount] = {};
  [[nodiscard]] int64_t TotalSent() const;
  [[nodiscard]] int64_t TotalReceived() const;
};

class Collective {
 public:
  virtual ~Collective() = default;

  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;

  // In place: every member ends with the elementwise sum, with the same bits on all of them.
  virtual Status AllReduceSum(std::span<float> data, Purpose purpose) = 0;
  virtual Status AllReduceSum(std::span<double> data, Purpose purpose) = 0;
  // all.size() == size() * mine.size(); rank r's bytes end at r * mine.size().
  virtual Status AllGather(std::span<const std::byte> mine, std::span<std::byte> all,
                           Purpose purpose) = 0;
  // Equal parts: part r of `send` goes to rank r, and part r of `receive` came from rank r.
  virtual Status AllToAll(std::span<const std::byte> send, std::span<std::byte> receive,
                          Purpose purpose) = 0;
  virtual Status Broadcast(std::span<std::byte> data, int root, Purpose purpose) = 0;
  // Between two members alone: what one sends the other receives, equally many bytes, in the order
  // of the calls. The others need not call anything.
  virtual Status Send(std::span<const std::byte> data, int to, Purpose purpose) = 0;
  virtual Status Receive(std::span<std::byte> data, int from, Purpose purpose) = 0;
  virtual Status Barrier() = 0;

  // Time limit of each later call without progress: it begins anew whenever payload has moved,
  // where that can be seen (not with NCCL).
  virtual void SetTimeout(Duration timeout) = 0;
  // Wakes a blocked call of another thread and makes the object dead. Thread-safe, idempotent.
  virtual void Abort() = 0;

  // Counted since construction. Call from the thread that calls the operations.
  [[nodiscard]] virtual const Traffic& traffic() const = 0;
};

// A key-value store shared by the members of one generation, for rendezvous.
class RendezvousStore {
 public:
  virtual ~RendezvousStore() = default;
  virtual Status Set(const std::string& key, const std::vector<uint8_t>& value) = 0;
  // Waits for the key until the timeout passes (kTransient).
  virtual Result<std::vector<uint8_t>> Get(const std::string& key, Duration timeout) = 0;
};

// `size` collectives connected within this process, element r for rank r, for threads of a test.
[[nodiscard]] std::vector<std::unique_ptr<Collective>> MakeInProcessCollectives(int size);

struct GlooOptions {
  int rank = 0;
  int size = 1;
  std::string address;  // this member's own IP address, one that its peers can reach
  Duration connect_timeout = std::chrono::seconds(30);
  Duration timeout = kStallLimit;  // SetTimeout
};
// Connects to the other members through `store` and returns when all are connected.
[[nodiscard]] Result<std::unique_ptr<Collective>> MakeGlooCollective(
    const GlooOptions& options, std::shared_ptr<RendezvousStore> store);

}  // namespace longstride
