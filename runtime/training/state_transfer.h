// Brings parameters and outer velocity to members that lack them, while the others take their local
// steps, so that nobody waits for a newcomer's state.
//
// It works because the outer step is elementwise and every member takes part in every exchange: a
// member that holds the first n elements of w_k and v_k applies the round's averaged message to
// them like everybody, and then holds the first n elements of w_{k+1} and v_{k+1}. So the giver
// goes on where it stopped, however many rounds it takes, and once it is through, the receiver
// holds the same bits as all. Buffers come with the exchange itself, where they are averaged.
//
// One object lives for one generation. Not thread-safe; but between Begin and End, and within
// Receive, the collective belongs to this object.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "core/base/result.h"
#include "runtime/collective/collective.h"
#include "runtime/training/replica.h"
#include "runtime/training/round_statistics.h"
#include "runtime/training/transfer_pacer.h"

namespace longstride {

template <typename T>
class StateTransfer {
 public:
  // `givers`: by rank, who gives it the state; -1: it holds it. The same on all members.
  StateTransfer(Collective& collective, Replica<T>& replica, std::vector<int> givers);
  ~StateTransfer();

  [[nodiscard]] bool complete() const { return first_lacking_ < 0; }
  [[nodiscard]] bool Lacks(int rank) const { return givers_[rank] >= 0; }
  [[nodiscard]] std::vector<bool> lacking() const;
  // The lowest rank that holds the state.
  [[nodiscard]] int first_holder() const;
  // What this rank says of itself in its slot: it has received everything, or always held it.
  [[nodiscard]] bool received_all() const { return !Lacks(rank_) || moved_ == replica_.size(); }

  // A giver's local steps begin: from here on it sends, on a thread of its own, from the replica's
  // anchor and velocity, which stay as they are until End. Others: nothing.
  void Begin();
  // They are over: finishes the chunk that is under way and lets the receivers go on to the
  // exchange. The collective's error.
  Status End();

  // A member that lacks state, while the others take their steps: receives into parameters and
  // velocity until its giver is at End.
  Status Receive();

  // The exchange has succeeded: who had received all before it now holds the state, provided that
  // the buffers came along (`averaged`).
  void Update(const std::vector<RankSlot>& slots, bool averaged);

 private:
  Status Give();
  Status SendChunk(int64_t count);
  // False if End came meanwhile.
  bool Rest(Duration length);
  void FindLacking();

  Collective& collective_;
  Replica<T>& replica_;
  const int rank_;
  std::vector<int> givers_;
  int first_lacking_ = -1;
  std::vector<int> receivers_;  // of this rank
  int64_t moved_ = 0;           // elements sent to receivers_, or received
  TransferPacer pacer_;
  SystemClock clock_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool ending_ = false;  // guarded by mutex_
  Status given_;         // of the thread; valid once it is joined
  std::thread thread_;
};

extern template class StateTransfer<float>;
extern template class StateTransfer<double>;

}  // namespace longstride
