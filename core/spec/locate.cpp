#include "core/spec/locate.h"

#include <algorithm>

namespace longstride {

Place Locate(const Node& root, std::string_view path) {
  Place place{nullptr, root.mark, *root.source};
  const Node* node = &root;
  while (!path.empty()) {
    if (path[0] == '[') {
      const size_t close = std::min(path.find(']'), path.size() - 1);
      const auto index = ReadInteger(path.substr(1, close - 1));
      if (node->kind != Node::Kind::kList || !index || *index < 0 ||
          static_cast<size_t>(*index) >= node->items.size()) {
        return place;
      }
      node = &node->items[static_cast<size_t>(*index)];
      place.mark = node->mark;
      path.remove_prefix(close + 1);
    } else {
      if (path[0] == '.') path.remove_prefix(1);
      const std::string_view name = path.substr(0, path.find_first_of(".["));
      const Node* child = node->Find(name);
      if (!child) return place;
      place.mark = node->keys[static_cast<size_t>(child - node->items.data())].mark;
      node = child;
      path.remove_prefix(name.size());
    }
    place.source = *node->source;
  }
  place.node = node;
  if (node->kind == Node::Kind::kScalar) place.mark = node->mark;
  return place;
}

}  // namespace longstride
