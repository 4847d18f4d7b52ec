// Faults of a manifest: every one that was found, with where it stands and what to do about it.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace longstride {

// A place in a source text, both counted from 1; 0 = unknown (the value came from JSON or a flag).
struct Mark {
  int line = 0;
  int column = 0;
};

struct Fault {
  std::string source;  // file name, or "--set path=value"
  Mark mark;
  std::string path;     // "spec.training.localSteps.steps"; empty for faults of the text itself
  std::string message;  // what is wrong
  std::string hint;     // what to do; may be empty

  // fashion.yaml:12:7: spec.training.localSteps.polcy: unknown field; did you mean "policy"?
  [[nodiscard]] std::string Text() const;
};

// Collects faults and remembers which fields they are about, so that a check over several fields
// can keep silent when one of them is already known to be wrong. Not thread-safe.
class Faults {
 public:
  void Add(Fault fault);
  // Treats the field `path` as faulty without reporting anything.
  void Taint(std::string path) { tainted_.insert(std::move(path)); }
  // True if `path`, a field above it or a field below it has a fault.
  [[nodiscard]] bool Touches(std::string_view path) const;
  [[nodiscard]] bool empty() const { return list_.empty(); }
  [[nodiscard]] std::vector<Fault> Take() { return std::move(list_); }

 private:
  std::vector<Fault> list_;
  std::set<std::string, std::less<>> tainted_;
};

// `text` made fit for a one-line message: control characters become '?', and what is longer than
// `most` bytes is cut at a character and ends in "...".
[[nodiscard]] std::string Shorten(std::string_view text, size_t most = 60);

// All faults as one kUser error, a line each; after 50 the rest is only counted.
[[nodiscard]] Error ToError(const std::vector<Fault>& faults);

}  // namespace longstride
