// Server-side apply's bookkeeping, as far as the fake server needs it: who owns which leaf of an
// object. Lists and empty objects are leaves.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "controller/kube/resource.h"

namespace longstride::kube {

class FieldOwners {
 public:
  // Merges `applied` into `live`: sets its leaves, removes those that `manager` applied before and
  // nobody else owns. Without `force` returns the leaves that others own with another value, and
  // changes nothing if there are any.
  std::vector<std::string> Apply(Json& live, const Json& applied, const std::string& manager,
                                 bool force);
  // Another kind of write by `manager` made `after` of `before`.
  void Changed(const Json& before, const Json& after, const std::string& manager);

 private:
  std::map<std::string, std::set<std::string>> owners_;  // leaf -> managers
};

}  // namespace longstride::kube
