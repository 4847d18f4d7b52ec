// What a worker asks of its process: signals, memory allocation, threads. Call each once, before
// any other thread is started.
#pragma once

#include <cstdint>

namespace longstride {

// The first SIGTERM or SIGINT is counted, and means stop at the next round boundary, or before it
// if that comes too late (TrainingWatch); a second one
// ends the process at once with 128 + its number. SIGPIPE is ignored: a peer that is gone is an
// error of the call.
void CatchStopSignals();
[[nodiscard]] bool StopSignalled();

// Training allocates and frees the same large blocks in every step. glibc would map each anew and
// give it back, so that the kernel clears every page again: that took a third of a convnet's step.
// So blocks up to 1 GiB come from the heap, which is not trimmed and grows in strides of 64 MiB;
// memory that was needed once stays with the process, as its peak counts anyway.
void KeepFreedMemory();

// Blocks that are large against the memory limit (0 = not known) are mapped for themselves all the
// same: in the heap they leave holes that the next such block does not fit into, and a training
// step came to hold twice what it needs.
void MapLargeBlocks(int64_t memory_limit_bytes);

// Gives what is free now back to the kernel all the same, so that memory used from here on shows as
// growth.
void ReturnFreedMemory();

// Threads of LibTorch's kernels (`threads`) and between them (one).
void SetComputeThreads(int64_t threads);

}  // namespace longstride
