// How long a worker's round will still take, and what follows when the worker is told to leave.
// Pure.
#pragma once

#include <cstdint>
#include <optional>

namespace longstride {

struct RoundOutlook {
  int64_t steps_left = 0;       // local steps, the present one included
  double step_seconds = 0;      // of one
  double boundary_seconds = 0;  // from the last local step to the end of the round's boundary
  double elapsed = 0;           // of the present step or, when none is left, of the boundary
};

// Seconds until the end of the boundary; 0 when it should have come already.
[[nodiscard]] double SecondsToBoundary(const RoundOutlook& outlook);

// Whether to go on with the round, of `grace` seconds from the signal to the kill with `left` still
// to go: a quarter more than predicted must fit, and time to say good-bye be left.
[[nodiscard]] bool FitsIntoGrace(double seconds_to_boundary, double left, double grace);

// Seconds after which work that waits for no other member, a local step or a batch of an
// evaluation, is taken to hang: max(60, 10 times what it should take), by the longest of its kind
// that this process has seen (absent: the first, which may have to load, compile and read a cold
// disk: ten minutes at least) and by what is predicted.
[[nodiscard]] double HangSeconds(double predicted, std::optional<double> longest);

}  // namespace longstride
