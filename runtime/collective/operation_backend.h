// What a ThreadedCollective's thread owns: connections to the other members and the operations over
// them. Implemented over c10d's Gloo and NCCL process groups. Not part of the public interface.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "runtime/collective/collective.h"

namespace longstride {

// Operations work on the caller's buffers without copying them, block until done or interrupted,
// and fail with kLostPeer. Apart from Interrupt, IsHopeless and BytesMoved, calls must not overlap.
// Shapes of buffers: see Collective.
class OperationBackend {
 public:
  virtual ~OperationBackend() = default;

  // Connects to all members, or fails with kTransient when the deadline passes.
  virtual Status Connect(std::shared_ptr<RendezvousStore> store, TimePoint deadline) = 0;

  virtual Status AllReduce(std::span<float> data) = 0;
  virtual Status AllReduce(std::span<double> data) = 0;
  virtual Status AllGather(std::span<const std::byte> mine, std::span<std::byte> all) = 0;
  virtual Status AllToAll(std::span<const std::byte> send, std::span<std::byte> receive) = 0;
  virtual Status Broadcast(std::span<std::byte> data, int root) = 0;
  virtual Status Send(std::span<const std::byte> data, int to) = 0;
  virtual Status Receive(std::span<std::byte> data, int from) = 0;
  virtual Status Barrier() = 0;

  // Makes the running operation fail soon. Thread-safe, idempotent.
  virtual void Interrupt() = 0;
  // Whether the running operation can no longer succeed although nothing has failed. Thread-safe.
  virtual bool IsHopeless() = 0;
  // Payload that has reached a peer or come from one since the connections were made; 0 where that
  // is not known. Thread-safe.
  virtual uint64_t BytesMoved() { return 0; }
  // Disconnects and frees everything.
  virtual void Release() = 0;
};

}  // namespace longstride
