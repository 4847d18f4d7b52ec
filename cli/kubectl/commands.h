// What the plugin's subcommands do, given a cluster. Text for people goes to `out`.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>

#include "cli/kubectl/job_api.h"
#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/spec/training_job.h"

namespace longstride {

using TextSink = std::function<void(const std::string& text)>;

struct WaitOptions {
  std::string uid;  // of the job that is meant; "" = whichever has the name
  Duration deadline = std::chrono::hours(24 * 365);
  std::stop_token stop;
};

// Creates the job and returns its UID. kUser when there is one of that name.
Result<std::string> SubmitJob(JobApi& api, const TrainingJob& job, const TextSink& out);

// Says how the job goes, a line whenever that changes, until it has ended: success when it is
// complete, else kUser with the reason of its failure.
Status AwaitEnd(JobApi& api, const std::string& name, const WaitOptions& options,
                const TextSink& out);

// The same, and deletes the job then: once it has ended or the deadline has passed. A job of which
// nothing more is known, for any other error, stays.
Status AwaitEndAndDelete(JobApi& api, const std::string& name, const WaitOptions& options,
                         const TextSink& out);

// One job, or a table of all when `name` is empty. `now`: Unix seconds.
Status ShowStatus(JobApi& api, const std::string& name, double now, const TextSink& out);

// Suspends or resumes. With `wait` returns once the workers are gone, or train again.
Status SetSuspended(JobApi& api, const std::string& name, bool suspended, bool wait,
                    const WaitOptions& options, const TextSink& out);

Status ScaleJob(JobApi& api, const std::string& name, int64_t replicas, const TextSink& out);

// Deletes the job and so its pods; checkpoints on a claim stay. `uid`: only that very job.
Status CancelJob(JobApi& api, const std::string& name, const TextSink& out,
                 const std::string& uid = "");

// Logs of `worker` ("worker-0"), or when it is empty of all workers, each line with its worker in
// front. Only the newest pod of each worker. Following all of them takes a thread for each.
Status ShowLogs(JobApi& api, const std::string& name, const std::string& worker,
                const LogOptions& options, const std::stop_token& stop, const TextSink& out);

}  // namespace longstride
