// What a GlooCollective's thread owns: c10d's Gloo process group, its store and device, and the buffers
// that operations work on. Not part of the public interface.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "runtime/collective/collective.h"

namespace longstride {

// Every operation works on buffers of the backend, never the caller's: an operation that a caller gave
// up on may still write to them. Input() is filled before an operation and Output() read after it, by
// the caller's thread while no operation runs. Operations block until done or interrupted. Apart from
// Interrupt, calls must not overlap.
class GlooBackend {
 public:
  enum class Element { kFloat, kDouble };

  virtual ~GlooBackend() = default;

  // kTransient when not all members met in time, kUser when the address is not this machine's.
  virtual Status Connect(const GlooOptions& options, std::shared_ptr<RendezvousStore> store,
                         TimePoint deadline) = 0;
  // Makes room for this many bytes and returns where the input goes; operations below use all of it.
  virtual std::span<std::byte> Input(size_t bytes) = 0;
  // Where the last operation left its result.
  virtual std::span<const std::byte> Output() = 0;

  virtual Status AllReduce(Element element) = 0;
  virtual Status AllGather() = 0;
  virtual Status AllToAll() = 0;
  virtual Status Broadcast(int root) = 0;
  virtual Status Barrier() = 0;

  // Shuts the generation's sockets down, which fails the running operation. Thread-safe, idempotent.
  virtual void Interrupt() = 0;
  // Frees everything.
  virtual void Release() = 0;
};

[[nodiscard]] std::unique_ptr<GlooBackend> MakeGlooBackend();

}  // namespace longstride
