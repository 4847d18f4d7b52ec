// Writes checkpoints beside training, on one background thread with memory of its own.
//
// One request at a time: Submit waits while another is in flight. A request's failure is returned
// by the next Submit (which then does nothing else) or Finish. The destructor waits for the request
// in flight. One thread calls its methods.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "core/base/clock.h"
#include "core/protocol/messages.h"
#include "runtime/checkpoint/checkpoint_directory.h"

namespace longstride::checkpoint {

struct CheckpointFile {
  std::string name;  // "model.safetensors"
  std::vector<OwnedTensor> tensors;
};

struct CommitRequest {
  nlohmann::json state;
  std::vector<std::string> files;  // of all ranks
  int64_t keep = 0;                // KeepLast afterwards; 0 = keep all
  int64_t samples = 0;             // for TakeCommitted
};

// Writes `files`, then commits when asked to; of what cannot be committed nothing stays. With
// several ranks each submits its files first, and the lowest rank submits the commit once all are
// idle; a single rank can ask for both at once.
struct CheckpointRequest {
  int64_t round = 0;
  GenerationId generation{};  // for which it is written
  std::vector<CheckpointFile> files{};
  std::optional<CommitRequest> commit{};
};

class CheckpointWriter {
 public:
  explicit CheckpointWriter(CheckpointDirectory directory);
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  [[nodiscard]] Status Submit(CheckpointRequest request);
  // True when nothing is in flight: what was submitted is on the disk, or its error is waiting.
  // Waits for that so long at most.
  [[nodiscard]] bool Idle(Duration limit = Duration::zero()) const;
  // Idle, and what was submitted last was written.
  [[nodiscard]] bool Succeeded() const;
  // Waits for what is in flight.
  [[nodiscard]] Status Finish();
  // The checkpoint that was committed last, unless an earlier call returned it.
  [[nodiscard]] std::optional<CommittedCheckpoint> TakeCommitted();

 private:
  void Loop();
  [[nodiscard]] Status Execute(const CheckpointRequest& request);

  CheckpointDirectory directory_;  // only the background thread uses it
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::optional<CheckpointRequest> request_;
  Status outcome_;
  std::optional<CommittedCheckpoint> committed_;
  bool busy_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace longstride::checkpoint
