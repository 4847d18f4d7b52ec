// longstride-worker: one worker of a training job.
#include <cstdio>
#include <cstdlib>

#include "core/base/log.h"
#include "core/base/open_files.h"
#include "runtime/profile/limits.h"
#include "runtime/worker/process_setup.h"
#include "runtime/worker/worker.h"

int main(int argc, char** argv) {
  using namespace longstride;
  const auto parsed = ParseWorkerOptions(argc, argv);
  if (const int* code = std::get_if<int>(&parsed)) return *code;
  const WorkerOptions& options = std::get<WorkerOptions>(parsed);

  CatchStopSignals();
  RaiseOpenFileLimit();
  KeepFreedMemory();
  SetComputeThreads(options.threads > 0 ? options.threads : ThreadCount(ReadMachineLimits()));

  Worker worker(options);
  const Status status = worker.Run();
  if (!status.ok()) {
    const bool stopped = status.error().code == ErrorCode::kInterrupted;
    Log(stopped ? LogLevel::kInfo : LogLevel::kError, "worker", status.error().message);
  }
  std::fflush(nullptr);
  // Everything that must be in order is: the metrics server's shutdown and LibTorch's would only
  // take time.
  std::_Exit(status.ok() ? 0 : ExitCodeOf(status.error().code));
}
