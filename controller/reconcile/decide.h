// What to do about a job, from what is known of it: the operator's rules, without any I/O. The
// rules are those of docs/operator.md; each condition's reasons are listed there too.
//
// Deciding again after everything was carried out, and nothing else happened, changes nothing.
#pragma once

#include "controller/reconcile/desired.h"
#include "controller/reconcile/observed.h"

namespace longstride {

[[nodiscard]] Desired Decide(const Observed& observed);

// Puts into `desired` that the first `made` of its pods were made: so that their names are on
// record in its status whatever becomes of them, and an event tells of them.
void RecordCreated(size_t made, Desired& desired);

}  // namespace longstride
