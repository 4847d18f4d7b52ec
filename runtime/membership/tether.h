// Pings between the members of a generation, over TCP: a cut between two of them is invisible to
// the coordinator, which hears both. Each member connects to each other, sends a byte twice a
// second and gets it back; whoever is not heard for the limit is silent. So a cut of one direction
// is seen from both ends, and a process that is stopped is seen although its kernel still accepts.
//
// One for the life of a process: it answers pings of whatever generation. One thread and small
// sockets of its own. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/protocol/messages.h"

namespace longstride {

struct TetherOptions {
  Duration ping = std::chrono::milliseconds(500);
  Duration limit = std::chrono::seconds(2);  // of silence
};

class Tether {
 public:
  // Listens on a free port of `address`, a numeric IP address. `changed` is called on the tether's
  // thread when the answer of Silent has changed; it must not block. kUser when the address is not
  // this machine's.
  static Result<std::unique_ptr<Tether>> Start(const std::string& address,
                                               std::function<void()> changed,
                                               TetherOptions options = {});
  ~Tether();

  [[nodiscard]] int64_t port() const;

  // From now on the other members of `generation` that have a tether are pinged. Who was a peer
  // before and is silent stays silent until it is heard.
  void Watch(const Generation& generation);
  // Ranks of silent peers; none when it is not `generation` that is watched.
  [[nodiscard]] std::vector<int64_t> Silent(GenerationId generation) const;
  // Ends the thread: nobody is pinged or answered any more, and `changed` is not called.
  void Stop();

 private:
  class Loop;
  explicit Tether(std::unique_ptr<Loop> loop);
  const std::unique_ptr<Loop> loop_;
};

}  // namespace longstride
