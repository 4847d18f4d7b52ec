// What a GlooCollective's thread owns: c10d's Gloo process group, its store and its device. Not part of
// the public interface.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "runtime/collective/collective.h"

namespace longstride {

// Operations work on the caller's buffers without copying them, block until done or interrupted, and fail
// with kLostPeer. Apart from Interrupt and IsHopeless, calls must not
// overlap. Shapes of buffers: see Collective.
class GlooBackend {
 public:
  virtual ~GlooBackend() = default;

  // kTransient when not all members met in time, kUser when the address is not this machine's.
  virtual Status Connect(const GlooOptions& options, std::shared_ptr<RendezvousStore> store,
                         TimePoint deadline) = 0;

  virtual Status AllReduce(std::span<float> data) = 0;
  virtual Status AllReduce(std::span<double> data) = 0;
  virtual Status AllGather(std::span<const std::byte> mine, std::span<std::byte> all) = 0;
  virtual Status AllToAll(std::span<const std::byte> send, std::span<std::byte> receive) = 0;
  virtual Status Broadcast(std::span<std::byte> data, int root) = 0;
  virtual Status Barrier() = 0;

  // Shuts the generation's sockets down, which fails the running operation. Thread-safe, idempotent.
  virtual void Interrupt() = 0;
  // Whether a peer has gone and nothing has moved since the last time this was asked: Gloo reports a lost
  // connection only to operations that wait for that peer, not to those that wait for a peer that
  // waits for it. A peer that left after it had sent its part does not make an operation hopeless.
  // Thread-safe.
  virtual bool IsHopeless() = 0;
  // Disconnects and frees everything.
  virtual void Release() = 0;
};

[[nodiscard]] std::unique_ptr<GlooBackend> MakeGlooBackend();

}  // namespace longstride
