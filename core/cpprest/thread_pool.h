// The one pool of threads that cpprestsdk has in a process: its servers' and clients' sockets and
// all continuations run there (docs/adr/0006). Left to itself the library makes forty. Nothing but
// this may size it; whoever uses the library starts it first.
#pragma once

namespace longstride {

// Handlers and continuations of ours never block there.
inline constexpr int kCpprestThreads = 4;

// Starts the pool if it does not run yet. Thread-safe; throws nothing.
void StartCpprestPool();

}  // namespace longstride
