// One decision in the making; only decide*.cpp include it. Each file holds the rules of one phase
// of a job's life.
#pragma once

#include <string>

#include "controller/reconcile/desired.h"
#include "controller/reconcile/observed.h"
#include "controller/reconcile/workers.h"

namespace longstride {

class Decision {
 public:
  explicit Decision(const Observed& observed);
  Desired Run();

 private:
  // decide_ends.cpp: jobs that are over.
  void Complete(const std::string& message);
  void Fail(const std::string& reason, const std::string& message);
  void AfterTheEnd();

  // decide_suspend.cpp
  void Suspend();
  void Resume();
  // There are pods of a spec that was edited since, in a suspension too short to have stopped them.
  // Survivors of a change of leaders would go on with the old one, their peers with the new one.
  [[nodiscard]] bool HasPodsOfFormerSpec();
  // What training goes back to when every pod is gone: the checkpoint, or the start.
  void FallBackToCheckpoint();

  // decide_active.cpp: jobs that are to train. Each step returns true when it has settled the
  // matter.
  void Train();
  bool WaitAfterRelease();
  bool EndTraining(const WorkerTable& workers);
  bool GiveUpStarting(const WorkerTable& workers);
  void Begin();
  void TakeProgress();
  void TellOfEnds(const WorkerTable& workers);
  void TellOfMemory(const WorkerTable& workers);
  void SetTrainingConditions(const WorkerTable& workers);
  void SetRunning(const WorkerTable& workers);
  // Of those that a fault keeps from the others, which train.
  void TellOfMissing(const WorkerTable& workers);
  void OrderCoordinator(const WorkerTable& workers);
  [[nodiscard]] JobCondition WhyNotRunning(const WorkerTable& workers) const;
  // The same, with an event if it is a fault that was not the reason at the last look.
  [[nodiscard]] JobCondition TellWhy(const WorkerTable& workers);

  // decide_pods.cpp
  void RemovePods(const WorkerTable& workers);
  void CreatePods(const WorkerTable& workers);
  // Gives pods that trust another authority, or only the one before, what is to be trusted now.
  void RenewTrust();
  void DeleteAll(const WorkerTable& workers, const std::string& why);
  void Delete(const PodView& pod, const std::string& why);
  // The coordinator was not told yet that this worker was killed for want of memory.
  [[nodiscard]] bool HasMemoryNews(const WorkerEntry& worker) const;
  // A worker that has said at `since` why it ends: its log is worth to wait for its end.
  [[nodiscard]] bool MayExit(const PodView& pod, double since);
  [[nodiscard]] bool Completing(const WorkerTable& workers) const;

  [[nodiscard]] std::string State() const;
  [[nodiscard]] bool durable() const { return o_.spec->checkpoint.storage.has_value(); }
  void Note(bool warning, const std::string& reason, const std::string& message);
  void RequeueAt(double unix_seconds);

  const Observed& o_;
  const double now_;  // whole seconds: what goes into the status
  JobStatus s_;       // the status to come
  Desired d_;
};

}  // namespace longstride
