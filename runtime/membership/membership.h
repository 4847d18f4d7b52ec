// The worker's side of the conversation with the coordinator (core/protocol/messages.h) over HTTP
// with a bearer token. Retries what may be retried, with jittered back-off, until its deadline: ten
// minutes for FetchJob, Join and AwaitGeneration, as another coordinator may have to take over; 30
// s for StoreSet, 5 s for Leave and 1 s in the middle of a round, before a kill. Heartbeat, Report
// and Register are one attempt, of 2, 5 and 10 s, as their callers repeat them. A coordinator that
// cannot be reached is kTransient; what it refuses keeps the code that it gives.
//
// Call only from threads of your own, never from a continuation of cpprestsdk.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/base/result.h"
#include "core/protocol/messages.h"
#include "core/spec/training_job.h"

namespace longstride {

struct CoordinatorEndpoint {
  std::string url;              // "https://10.0.0.1:8443/v1/jobs/default/fashion-mnist"
  std::string token;            // sent as `Authorization: Bearer`; unless:
  std::string token_file = "";  // holds it, and may change
  std::string ca_file = "";     // whose certificates the coordinator's must be signed by
};

// Requests block; all methods are thread-safe.
class CoordinatorClient {
 public:
  virtual ~CoordinatorClient() = default;
  virtual Result<TrainingJob> FetchJob() = 0;
  virtual Status Join(const JoinRequest& request) = 0;
  // Makes a worker known to a coordinator that answered kUnknown.
  virtual Status Register(const RegisterRequest& request) = 0;
  // Waits until a generation newer than `after` that holds this worker is formed (long poll). A
  // member of `after` thereby leaves it: `round` rounds are committed in the state it holds, and
  // `reason` says why.
  // Errors:
  //   kInterrupted  `stopped` returned true, or the job has ended well: nothing is left to do (exit
  //   0
  //                 unless a signal came)
  //   kLostPeer     the job has failed, or another incarnation has this worker's place
  //   kTransient    the coordinator could not be reached for ten minutes, or did not know this
  //                 worker for as long although it was told (QueuedControlChannel does that)
  virtual Result<Generation> AwaitGeneration(const WorkerId& worker, GenerationId after,
                                             int64_t round, const std::string& reason,
                                             const std::function<bool()>& stopped) = 0;
  virtual Result<HeartbeatReply> Heartbeat(const HeartbeatRequest& request) = 0;
  virtual Result<RoundReply> Report(const WorkerId& worker, const RoundReport& report) = 0;
  virtual Status Leave(const LeaveRequest& request) = 0;
  // The rendezvous store of one generation.
  virtual Status StoreSet(GenerationId generation, const std::string& key,
                          const std::vector<uint8_t>& value) = 0;
  // Long poll: every key of the generation, once there are at least `count` of them or `timeout`
  // passed.
  virtual Result<std::vector<std::pair<std::string, std::vector<uint8_t>>>> StoreRead(
      GenerationId generation, int64_t count, double timeout_seconds) = 0;
};

[[nodiscard]] std::unique_ptr<CoordinatorClient> MakeHttpCoordinatorClient(
    CoordinatorEndpoint endpoint);

}  // namespace longstride
