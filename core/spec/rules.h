// What a schema alone cannot say about a TrainingJob, as rules in CEL for the API server
// (x-kubernetes-validations). They follow validate.cpp; a test holds that every manifest which is
// refused there for what it means is refused by these, or is named as an exception.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace longstride {

struct Rule {
  std::string at;          // table path of the object that is `self`; "" = the whole manifest
  std::string field;       // what it is about, relative to `at`; empty = `at` itself
  std::string expression;  // CEL
  std::string message;     // what is wrong, and what to do
};

// The rules of the object at `table_path`, in three parts: fields that would be ignored, or are
// missing, because of another's value (made from the table); values that contradict each other;
// changes of what must not change while the job runs.
[[nodiscard]] std::vector<Rule> RulesAt(std::string_view table_path);

// `${steps}` in `text` as CEL that reads the field `at`.steps or, where it may be absent, its
// default.
[[nodiscard]] std::string ExpandFields(std::string_view at, std::string_view text);

}  // namespace longstride
