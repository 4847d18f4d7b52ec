#include "core/spec/reader.h"

#include <algorithm>
#include <set>

#include "core/spec/fields.h"
#include "core/spec/nearest.h"
#include "core/spec/parse.h"
#include "core/spec/quantity.h"

namespace longstride {
namespace {

// What the API server keeps in metadata besides the fields of the table.
const std::vector<std::string>& ServerSetMetadata() {
  static const std::vector<std::string> kNames{"creationTimestamp",
                                               "deletionGracePeriodSeconds",
                                               "deletionTimestamp",
                                               "finalizers",
                                               "generateName",
                                               "generation",
                                               "managedFields",
                                               "ownerReferences",
                                               "resourceVersion",
                                               "selfLink",
                                               "uid"};
  return kNames;
}

std::string Describe(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull:
      return "nothing";
    case Node::Kind::kList:
      return "a list";
    case Node::Kind::kMap:
      return "an object";
    case Node::Kind::kScalar:
      break;
  }
  return (node.quoted ? "the string \"" : "\"") + Shorten(node.text) + "\"";
}

std::string Join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string Dotted(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "." + name;
}

class Reader {
 public:
  Reader(TrainingJob& job, Faults& faults) : job_(job), faults_(faults) {}

  void ReadObject(const Node& node, const std::string& table_path, const std::string& path,
                  size_t group) {
    std::set<std::string_view> seen;
    for (size_t i = 0; i < node.items.size(); ++i) {
      const Node::Key& key = node.keys[i];
      const Node& value = node.items[i];
      const std::string below = Dotted(path, Shorten(key.name));
      if (!seen.insert(key.name).second) {
        Add(value, key.mark, below, "this field stands here twice", "keep one of them");
        continue;
      }
      if (table_path.empty() && key.name == "status") continue;  // the controller's, not the user's
      if (const Field* field = FindField(Dotted(table_path, key.name))) {
        ReadField(*field, value, key.mark, below, group);
      } else if (table_path == "metadata" && IsServerSet(key.name)) {
        job_.metadata.other[key.name] = ToOpaqueJson(value, below, faults_);
      } else {
        AddUnknown(value, key, table_path, path);
      }
    }
  }

 private:
  static bool IsServerSet(const std::string& name) {
    const auto& names = ServerSetMetadata();
    return std::find(names.begin(), names.end(), name) != names.end();
  }

  void Add(const Node& node, Mark mark, const std::string& path, std::string message,
           std::string hint = "") {
    faults_.Add({*node.source, mark, path, std::move(message), std::move(hint)});
  }

  void AddUnknown(const Node& value, const Node::Key& key, const std::string& table_path,
                  const std::string& path) {
    std::vector<std::string> siblings;
    for (const Field* field : ChildrenOf(table_path)) siblings.push_back(field->name());
    std::string hint;
    if (const auto near = Nearest(key.name, siblings)) {
      hint = "did you mean \"" + *near + "\"?";
      faults_.Taint(Dotted(path, *near));  // it is not missing, only misspelt
    } else {
      for (const Field& field : AllFields()) {
        if (field.name() != key.name) continue;
        hint = "did you mean " + field.path + "?";
        faults_.Taint(field.path);
        break;
      }
    }
    if (hint.empty()) hint = "fields here: " + Join(siblings);
    Add(value, key.mark, Dotted(path, Shorten(key.name)), "unknown field", hint);
  }

  void ReadField(const Field& field, const Node& node, Mark key, const std::string& path,
                 size_t group) {
    if (node.kind == Node::Kind::kNull) {
      Add(node, key, path, "has no value", "give it one, or remove the line");
      return;
    }
    switch (field.type) {
      case FieldType::kObject:
        if (!Expect(node, Node::Kind::kMap, "an object", path)) return;
        if (field.create) field.create(job_);
        return ReadObject(node, field.path, path, group);
      case FieldType::kObjectList:
        return ReadGroups(field, node, key, path);
      case FieldType::kOpaque:
        if (!Expect(node, Node::Kind::kMap, "an object", path)) return;
        *std::get<nlohmann::json*>(field.at(job_, group)) = ToOpaqueJson(node, path, faults_);
        return;
      case FieldType::kStringMap:
        return ReadStringMap(field, node, path);
      case FieldType::kIntegerList:
        return ReadList(field, *std::get<std::vector<int64_t>*>(field.at(job_, group)), node, path);
      case FieldType::kNumberList:
        return ReadList(field, *std::get<std::vector<double>*>(field.at(job_, group)), node, path);
      case FieldType::kString:
        return ReadString(field, node, path, group);
      case FieldType::kInteger: {
        int64_t value = 0;
        if (ReadScalar(field, node, path, value))
          *std::get<int64_t*>(field.at(job_, group)) = value;
        return;
      }
      case FieldType::kNumber: {
        double value = 0;
        if (ReadScalar(field, node, path, value)) *std::get<double*>(field.at(job_, group)) = value;
        return;
      }
      case FieldType::kBoolean:
        if (node.kind != Node::Kind::kScalar || node.quoted ||
            (node.text != "true" && node.text != "false")) {
          return Add(node, node.mark, path, "expected true or false, got " + Describe(node));
        }
        *std::get<bool*>(field.at(job_, group)) = node.text == "true";
        return;
      case FieldType::kEnum:
        return ReadEnum(field, node, path, group);
      case FieldType::kQuantity: {
        if (!Expect(node, Node::Kind::kScalar, "a quantity of bytes", path)) return;
        const Result<int64_t> bytes = ParseQuantity(node.text);
        if (!bytes.ok()) return Add(node, node.mark, path, bytes.error().message);
        *std::get<int64_t*>(field.at(job_, group)) = *bytes;
        return;
      }
    }
  }

  bool Expect(const Node& node, Node::Kind kind, const char* what, const std::string& path) {
    if (node.kind == kind) return true;
    Add(node, node.mark, path, std::string("expected ") + what + ", got " + Describe(node));
    return false;
  }

  void ReadGroups(const Field& field, const Node& node, Mark key, const std::string& path) {
    if (!Expect(node, Node::Kind::kList, "a list of objects", path)) return;
    if (!CountIsGood(field, node, key, path)) return;
    job_.spec.workers.assign(node.items.size(), WorkerGroup{});
    for (size_t i = 0; i < node.items.size(); ++i) {
      const std::string entry = path + "[" + std::to_string(i) + "]";
      if (Expect(node.items[i], Node::Kind::kMap, "an object", entry)) {
        ReadObject(node.items[i], field.path + "[]", entry, i);
      }
    }
  }

  bool CountIsGood(const Field& field, const Node& node, Mark mark, const std::string& path) {
    const size_t n = node.items.size();
    if (n >= field.min_items && (field.max_items == 0 || n <= field.max_items)) return true;
    const std::string limit = n < field.min_items ? "at least " + std::to_string(field.min_items)
                                                  : "at most " + std::to_string(field.max_items);
    const std::string entries =
        (n < field.min_items ? field.min_items : field.max_items) == 1 ? " entry" : " entries";
    Add(node, mark, path, "has " + std::to_string(n) + ", must have " + limit + entries);
    return false;
  }

  void ReadStringMap(const Field& field, const Node& node, const std::string& path) {
    if (!Expect(node, Node::Kind::kMap, "an object of strings", path)) return;
    nlohmann::json& object = *std::get<nlohmann::json*>(field.at(job_, 0));
    for (size_t i = 0; i < node.items.size(); ++i) {
      const std::string below = Dotted(path, Shorten(node.keys[i].name));
      if (object.contains(node.keys[i].name)) {
        Add(node, node.keys[i].mark, below, "this key stands here twice", "keep one of them");
      } else if (IsString(node.items[i], below)) {
        object[node.keys[i].name] = node.items[i].text;
      }
    }
  }

  bool IsString(const Node& node, const std::string& path) {
    if (!Expect(node, Node::Kind::kScalar, "a string", path)) return false;
    if (node.quoted || !ResolvePlain(node.text)) return true;
    Add(node, node.mark, path, "expected a string, got " + Shorten(node.text),
        "put it into quotes: \"" + Shorten(node.text) + "\"");
    return false;
  }

  void ReadString(const Field& field, const Node& node, const std::string& path, size_t group) {
    if (!IsString(node, path)) return;
    if (field.required && node.text.empty()) return Add(node, node.mark, path, "must not be empty");
    if (field.max_length > 0 && node.text.size() > field.max_length) {
      return Add(node, node.mark, path,
                 "is longer than " + std::to_string(field.max_length) + " characters",
                 "shorten it");
    }
    if (node.text.find('\0') != std::string::npos) {
      return Add(node, node.mark, path, "must not contain a NUL character");
    }
    if (field.at) {
      *std::get<std::string*>(field.at(job_, group)) = node.text;
      return;
    }
    const std::string expected = field.path == "kind" ? kKind : kApiVersion;
    if (node.text != expected) {
      Add(node, node.mark, path, "must be " + expected + ", got \"" + Shorten(node.text) + "\"");
    }
  }

  void ReadEnum(const Field& field, const Node& node, const std::string& path, size_t group) {
    if (!Expect(node, Node::Kind::kScalar, ("one of " + Join(field.values)).c_str(), path)) return;
    const auto found = std::find(field.values.begin(), field.values.end(), node.text);
    if (found != field.values.end()) {
      std::get<EnumRef>(field.at(job_, group)).set(static_cast<int>(found - field.values.begin()));
      return;
    }
    const auto near = Nearest(node.text, field.values);
    Add(node, node.mark, path, "\"" + Shorten(node.text) + "\" is not one of " + Join(field.values),
        near ? "did you mean \"" + *near + "\"?" : "");
  }

  static std::optional<int64_t> Read(const std::string& text, int64_t) { return ReadInteger(text); }
  static std::optional<double> Read(const std::string& text, double) { return ReadNumber(text); }

  // One integer or number within the field's bounds.
  template <typename T>
  bool ReadScalar(const Field& field, const Node& node, const std::string& path, T& value) {
    constexpr bool kInteger = std::is_same_v<T, int64_t>;
    const char* what = kInteger ? "an integer" : "a number";
    if (!Expect(node, Node::Kind::kScalar, what, path)) return false;
    const std::optional<T> read = Read(node.text, T{});
    if (!read || node.quoted) {
      std::string hint;
      if (read) {
        hint = "remove the quotes";
      } else if (kInteger && ReadNumber(node.text)) {
        hint = "write it in decimal digits, without fraction, exponent or leading zeros";
      }
      Add(node, node.mark, path, std::string("expected ") + what + ", got " + Describe(node), hint);
      return false;
    }
    if (!field.bounds.Contain(static_cast<double>(*read))) {
      const std::string bounds = field.bounds.Text();
      Add(node, node.mark, path,
          Shorten(node.text) + " is out of bounds" + (bounds.empty() ? "" : ", must be " + bounds));
      return false;
    }
    value = *read;
    return true;
  }

  template <typename T>
  void ReadList(const Field& field, std::vector<T>& list, const Node& node,
                const std::string& path) {
    const bool integers = std::is_same_v<T, int64_t>;
    if (!Expect(node, Node::Kind::kList, integers ? "a list of integers" : "a list of numbers",
                path)) {
      return;
    }
    if (!CountIsGood(field, node, node.mark, path)) return;
    list.assign(node.items.size(), T{});
    for (size_t i = 0; i < node.items.size(); ++i) {
      ReadScalar(field, node.items[i], path + "[" + std::to_string(i) + "]", list[i]);
    }
  }

  TrainingJob& job_;
  Faults& faults_;
};

void ApplyConditionalDefaults(const Node& root, TrainingJob& job) {
  for (const Field& field : AllFields()) {
    if (field.default_when.empty()) continue;
    const Node* node = &root;
    for (size_t from = 0; node && from < field.path.size();) {
      const size_t dot = std::min(field.path.find('.', from), field.path.size());
      node = node->Find(std::string_view(field.path).substr(from, dot - from));
      from = dot + 1;
    }
    if (node) continue;  // the manifest says
    for (const ConditionalDefault& choice : field.default_when) {
      const auto& values = choice.when.values;
      if (std::find(values.begin(), values.end(), EnumName(job, choice.when.path)) ==
          values.end()) {
        continue;
      }
      *std::get<double*>(field.at(job, 0)) = choice.value;
      break;
    }
  }
}

}  // namespace

void ReadJob(const Node& root, TrainingJob& job, Faults& faults) {
  if (root.kind != Node::Kind::kMap) {
    faults.Add({*root.source, root.mark, "", "expected an object, got " + Describe(root),
                std::string("a manifest starts with apiVersion: ") + kApiVersion});
    return;
  }
  Reader(job, faults).ReadObject(root, "", "", 0);
  ApplyConditionalDefaults(root, job);
}

}  // namespace longstride
