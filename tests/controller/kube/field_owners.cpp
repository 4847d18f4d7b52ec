#include "tests/controller/kube/field_owners.h"

#include <array>
#include <string_view>

namespace longstride::kube {
namespace {

using Leaves = std::map<std::string, Json>;

// Belongs to the server, or is the object's name: nobody's fields.
constexpr std::array<std::string_view, 11> kNobodys = {"/apiVersion",
                                                       "/kind",
                                                       "/metadata/name",
                                                       "/metadata/namespace",
                                                       "/metadata/uid",
                                                       "/metadata/resourceVersion",
                                                       "/metadata/generation",
                                                       "/metadata/creationTimestamp",
                                                       "/metadata",
                                                       "/metadata/deletionTimestamp",
                                                       "/metadata/deletionGracePeriodSeconds"};

std::string Escape(const std::string& name) {
  std::string escaped;
  for (const char c : name) {
    escaped += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  }
  return escaped;
}

void Collect(const Json& value, const std::string& path, Leaves& leaves) {
  if (value.is_object() && !value.empty()) {
    for (const auto& [name, member] : value.items()) {
      Collect(member, path + "/" + Escape(name), leaves);
    }
    return;
  }
  for (const std::string_view nobodys : kNobodys) {
    if (path == nobodys) return;
  }
  leaves[path] = value;
}

Leaves LeavesOf(const Json& object) {
  Leaves leaves;
  Collect(object, "", leaves);
  return leaves;
}

void Remove(Json& object, Json::json_pointer leaf) {
  while (!leaf.empty()) {
    const Json::json_pointer parent = leaf.parent_pointer();
    if (!object.contains(leaf)) return;
    object[parent].erase(leaf.back());
    if (!object[parent].empty()) return;
    leaf = parent;  // an object that the removal emptied goes, too
  }
}

}  // namespace

std::vector<std::string> FieldOwners::Apply(Json& live, const Json& applied,
                                            const std::string& manager, bool force) {
  const Leaves wanted = LeavesOf(applied);
  std::vector<std::string> conflicts;
  for (const auto& [leaf, value] : wanted) {
    const Json::json_pointer pointer(leaf);
    const bool differs = live.contains(pointer) && live[pointer] != value;
    const auto owned = owners_.find(leaf);
    if (!differs || owned == owners_.end()) continue;
    for (const std::string& owner : owned->second) {
      if (owner != manager) conflicts.push_back(leaf);
    }
  }
  if (!conflicts.empty() && !force) return conflicts;

  for (auto it = owners_.begin(); it != owners_.end();) {
    const bool given_up = !wanted.contains(it->first) && it->second.erase(manager) > 0;
    if (given_up && it->second.empty()) {
      Remove(live, Json::json_pointer(it->first));
      it = owners_.erase(it);
    } else {
      ++it;
    }
  }
  for (const auto& [leaf, value] : wanted) {
    const Json::json_pointer pointer(leaf);
    const bool there = live.contains(pointer);
    if (!there || (live[pointer] != value && !(value.empty() && live[pointer].is_object()))) {
      if (there) owners_[leaf].clear();  // taken by force
      live[pointer] = value;
    }
    owners_[leaf].insert(manager);
  }
  return {};
}

void FieldOwners::Changed(const Json& before, const Json& after, const std::string& manager) {
  const Leaves old_leaves = LeavesOf(before);
  const Leaves new_leaves = LeavesOf(after);
  for (const auto& [leaf, value] : old_leaves) {
    if (!new_leaves.contains(leaf)) owners_.erase(leaf);
  }
  for (const auto& [leaf, value] : new_leaves) {
    const auto old_leaf = old_leaves.find(leaf);
    if (old_leaf == old_leaves.end() || old_leaf->second != value) owners_[leaf] = {manager};
  }
}

}  // namespace longstride::kube
