#include "core/spec/override.h"

#include "core/spec/fields.h"

namespace longstride {
namespace {

// "training.batch" -> "spec.training.batch"; top-level names stay.
std::string WithSpec(const std::string& path) {
  const std::string first = path.substr(0, path.find_first_of(".["));
  for (const char* top : {"spec", "metadata", "apiVersion", "kind"}) {
    if (first == top) return path;
  }
  return "spec." + path;
}

void ClearMarks(Node& node) {
  node.mark = {};
  for (Node::Key& key : node.keys) key.mark = {};
  for (Node& item : node.items) ClearMarks(item);
}

class Setter {
 public:
  Setter(const Override& override, Faults& faults)
      : path_(WithSpec(override.path)),
        value_(override.value),
        source_(std::make_shared<const std::string>("--set " + Shorten(override.path) + "=" +
                                                    Shorten(override.value))),
        faults_(faults) {}

  void Apply(Node& root) {
    const Field* field = FindField(TablePath(path_));
    std::optional<Node> value = MakeValue(field);
    if (!value) return;
    const bool remove = field && value->kind == Node::Kind::kNull;
    Node* node = &root;
    std::string_view rest = path_;
    while (true) {
      Node* parent = node;
      const std::optional<std::string_view> step = NextStep(rest);
      if (!step) return Fail("not a field path", "write it as training.localSteps.steps");
      node = (*step)[0] == '[' ? Entry(*parent, *step, remove) : Member(*parent, *step, remove);
      if (!node) return;
      if (!rest.empty()) continue;
      if (remove) return Erase(*parent, *node);
      *node = std::move(*value);
      return;
    }
  }

 private:
  void Fail(std::string message, std::string hint) {
    faults_.Add({*source_, {}, Shorten(path_), std::move(message), std::move(hint)});
  }

  std::optional<Node> MakeValue(const Field* field) {
    Node node;
    node.source = source_;
    if (field && field->type == FieldType::kString && value_ != "null") {
      node.kind = Node::Kind::kScalar;
      node.text = value_;
      node.quoted = true;
      return node;
    }
    if (value_ == "null") return node;
    if (value_.empty()) {
      Fail("needs a value", "write null to remove a field");
      return std::nullopt;
    }
    std::optional<Node> read = ReadNode(value_, *source_, faults_);
    if (read) ClearMarks(*read);
    return read;
  }

  // Takes "name" or "[3]" off the front; nullopt if there is neither.
  static std::optional<std::string_view> NextStep(std::string_view& rest) {
    if (!rest.empty() && rest[0] == '.') rest.remove_prefix(1);
    if (rest.empty()) return std::nullopt;
    size_t end = rest[0] == '[' ? rest.find(']') : rest.find_first_of(".[");
    if (rest[0] == '[' && end != std::string_view::npos) ++end;
    if (end == 0) return std::nullopt;
    const std::string_view step = rest.substr(0, end);
    rest.remove_prefix(step.size());
    return step;
  }

  Node* Member(Node& parent, std::string_view name, bool remove) {
    if (parent.kind == Node::Kind::kNull) Become(parent, Node::Kind::kMap);
    if (parent.kind != Node::Kind::kMap) {
      Fail("there is no object in the manifest that could hold \"" + Shorten(name) + "\"", "");
      return nullptr;
    }
    if (Node* found = parent.Find(name)) return found;
    if (remove) return nullptr;
    parent.keys.push_back({std::string(name), {}});
    return &Append(parent);
  }

  Node* Entry(Node& parent, std::string_view step, bool remove) {
    if (parent.kind == Node::Kind::kNull) Become(parent, Node::Kind::kList);
    const auto index = ReadInteger(step.substr(1, step.size() - 2));
    const bool in_list = parent.kind == Node::Kind::kList && step.back() == ']' && index &&
                         *index >= 0 && static_cast<size_t>(*index) <= parent.items.size();
    if (!in_list) {
      Fail("there is no entry " + Shorten(step) + " in the manifest",
           "the next free one is [" + std::to_string(parent.items.size()) + "]");
      return nullptr;
    }
    if (static_cast<size_t>(*index) < parent.items.size()) {
      return &parent.items[static_cast<size_t>(*index)];
    }
    return remove ? nullptr : &Append(parent);
  }

  void Become(Node& node, Node::Kind kind) {
    node.kind = kind;
    node.source = source_;
  }

  Node& Append(Node& parent) {
    parent.items.emplace_back();
    parent.items.back().source = source_;
    return parent.items.back();
  }

  static void Erase(Node& parent, Node& child) {
    const auto index = &child - parent.items.data();
    if (parent.kind == Node::Kind::kMap) parent.keys.erase(parent.keys.begin() + index);
    parent.items.erase(parent.items.begin() + index);
  }

  std::string path_;
  std::string value_;
  std::shared_ptr<const std::string> source_;
  Faults& faults_;
};

}  // namespace

void ApplyOverride(const Override& override, Node& root, Faults& faults) {
  Setter(override, faults).Apply(root);
}

}  // namespace longstride
