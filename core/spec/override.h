// Puts `--set` values into a Node tree, before it is read.
#pragma once

#include "core/spec/node.h"
#include "core/spec/parse.h"

namespace longstride {

// Sets, adds or (value null) removes one field. Whether the field exists and the value is good is
// found when the tree is read, with the flag as the source; only what cannot be put into the tree
// at all is added to `faults` here.
void ApplyOverride(const Override& override, Node& root, Faults& faults);

}  // namespace longstride
