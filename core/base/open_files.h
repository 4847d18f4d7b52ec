// How many files and sockets this process may hold open at once.
#pragma once

namespace longstride {

// Raises the limit as far as this process may: the soft one is mostly 1,024 for the sake of
// programs that use select(), which this is none of. A worker has some three sockets for each other
// member, a coordinator one or more for each worker. Where it cannot be raised it stays.
void RaiseOpenFileLimit();

}  // namespace longstride
