// Collectives made of messages between two members. Gloo has collectives of its own, but one that
// has received part of a message when a peer dies waits for the rest for ever
// (gloo/transport/tcp/pair.cc, signalException, passes over the message being read), and c10d gives
// no way to wake it. A single message can be given up at any time: so we need no more of Gloo than
// that.
//
// What each member sends and receives in all is in traffic.h. All members must call the same
// functions in the same order, with buffers of the same sizes.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "core/base/result.h"

namespace longstride {

// A message on its way.
class Transfer {
 public:
  // Gives it up if it is not done; then the buffer is not touched any more.
  virtual ~Transfer() = default;
  // Blocks until the buffer may be used again. kLostPeer if that will never be.
  [[nodiscard]] virtual Status Wait() = 0;
};

// Messages from one member to another arrive in the order in which they were sent, and the
// receiver must name the sender's size.
class Messenger {
 public:
  virtual ~Messenger() = default;
  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;
  // Both return at once. The buffer must stay as long as the transfer.
  [[nodiscard]] virtual Result<std::unique_ptr<Transfer>> StartSend(std::span<const std::byte> data,
                                                                    int to) = 0;
  [[nodiscard]] virtual Result<std::unique_ptr<Transfer>> StartReceive(std::span<std::byte> data,
                                                                       int from) = 0;
};

// As Collective's calls of these names. Sums have the same bits everywhere: each element is added
// up along one ring and then handed on.
[[nodiscard]] Status AllReduceSum(Messenger& messenger, std::span<float> data);
[[nodiscard]] Status AllReduceSum(Messenger& messenger, std::span<double> data);
[[nodiscard]] Status AllGather(Messenger& messenger, std::span<const std::byte> mine,
                               std::span<std::byte> all);
[[nodiscard]] Status AllToAll(Messenger& messenger, std::span<const std::byte> send,
                              std::span<std::byte> receive);
[[nodiscard]] Status Broadcast(Messenger& messenger, std::span<std::byte> data, int root);
[[nodiscard]] Status Send(Messenger& messenger, std::span<const std::byte> data, int to);
[[nodiscard]] Status Receive(Messenger& messenger, std::span<std::byte> data, int from);
[[nodiscard]] Status Barrier(Messenger& messenger);

}  // namespace longstride
