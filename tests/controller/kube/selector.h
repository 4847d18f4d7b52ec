// Label selectors of the API: "a=b,c!=d,e,!f,g in (x,y),h notin (z)".
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "controller/kube/resource.h"

namespace longstride::kube {

class Selector {
 public:
  explicit Selector(std::string_view text);
  // Of the object's metadata.labels.
  [[nodiscard]] bool Matches(const Json& object) const;

 private:
  struct Requirement {
    std::string key;
    bool negated = false;
    std::set<std::string> values;  // empty: existence is all
  };
  std::vector<Requirement> requirements_;
};

}  // namespace longstride::kube
