// Reads batches ahead of the training loop on one background thread.
//
//   Prefetcher prefetcher(dataset);
//   for (auto& step : steps_of_this_round) prefetcher.Enqueue(std::move(step));
//   while (const Batch* batch = prefetcher.Next()) { ... }
//
// Batches come in the order of Enqueue. At most `depth` are read ahead, so memory is bounded by
// depth + 1 batches, whose vectors are used again. The destructor stops the thread and joins it.
// One thread may call Enqueue, Next and Clear; the dataset must outlive the prefetcher.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "runtime/data/dataset.h"

namespace longstride::data {

class Prefetcher {
 public:
  explicit Prefetcher(const Dataset& dataset, int depth = 2);
  ~Prefetcher();
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  // Asks for one batch of the samples `indices`.
  void Enqueue(std::vector<int64_t> indices);

  // The next batch, when it is read; valid until the following call of Next, Clear or the
  // destructor. Null when everything that was enqueued has been handed out, or out_of_memory().
  [[nodiscard]] const Batch* Next();

  // Memory did not suffice for a batch that was enqueued since the last Clear.
  [[nodiscard]] bool out_of_memory() const;

  // Forgets what was enqueued and not handed out, as when a round is given up.
  void Clear();

 private:
  void Loop();
  // Gives the batch handed out last back for reuse.
  void Recycle();

  const Dataset& dataset_;
  const size_t depth_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::vector<int64_t>> requests_;  // not yet begun
  std::deque<std::unique_ptr<Batch>> ready_;   // read, not handed out
  std::vector<std::unique_ptr<Batch>> free_;
  bool reading_ = false;
  uint64_t epoch_ = 0;  // counts Clear, so that a read begun before it is dropped
  bool out_of_memory_ = false;
  bool stopping_ = false;

  std::unique_ptr<Batch> handed_out_;  // only the calling thread touches it
  std::thread thread_;
};

}  // namespace longstride::data
