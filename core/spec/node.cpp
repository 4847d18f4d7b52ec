#include "core/spec/node.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

namespace longstride {

const Node* Node::Find(std::string_view key) const {
  if (kind != Kind::kMap) return nullptr;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].name == key) return &items[i];
  }
  return nullptr;
}

Node* Node::Find(std::string_view key) {
  return const_cast<Node*>(static_cast<const Node*>(this)->Find(key));
}

std::optional<int64_t> ReadInteger(std::string_view text) {
  if (!text.empty() && text[0] == '+') text.remove_prefix(1);
  const std::string_view digits = !text.empty() && text[0] == '-' ? text.substr(1) : text;
  if (digits.empty() || digits[0] < '0' || digits[0] > '9') return std::nullopt;
  // 010 is 8 in YAML 1.1 (which kubectl reads) and 10 in YAML 1.2.
  if (digits.size() > 1 && digits[0] == '0') return std::nullopt;
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end) return std::nullopt;
  return value;
}

std::optional<double> ReadNumber(std::string_view text) {
  if (!text.empty() && text[0] == '+') text.remove_prefix(1);
  const size_t first = text.find_first_not_of('-');
  if (first == std::string_view::npos || first > 1) return std::nullopt;
  if (text[first] != '.' && (text[first] < '0' || text[first] > '9')) return std::nullopt;
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<nlohmann::json> ResolvePlain(const std::string& text) {
  static const std::set<std::string, std::less<>> kTrue{"true", "True", "TRUE", "yes", "Yes",
                                                        "YES",  "on",   "On",   "ON"};
  static const std::set<std::string, std::less<>> kFalse{"false", "False", "FALSE", "no", "No",
                                                         "NO",    "off",   "Off",   "OFF"};
  if (kTrue.contains(text)) return true;
  if (kFalse.contains(text)) return false;
  if (const auto integer = ReadInteger(text)) return *integer;
  if (const auto number = ReadNumber(text)) return *number;
  return std::nullopt;
}

nlohmann::json ToOpaqueJson(const Node& node, const std::string& path, Faults& faults) {
  switch (node.kind) {
    case Node::Kind::kNull:
      return nullptr;
    case Node::Kind::kScalar:
      if (!node.quoted) {
        if (auto plain = ResolvePlain(node.text)) return *plain;
      }
      return node.text;
    case Node::Kind::kList: {
      nlohmann::json list = nlohmann::json::array();
      for (size_t i = 0; i < node.items.size(); ++i) {
        list.push_back(ToOpaqueJson(node.items[i], path + "[" + std::to_string(i) + "]", faults));
      }
      return list;
    }
    case Node::Kind::kMap: {
      nlohmann::json object = nlohmann::json::object();
      for (size_t i = 0; i < node.items.size(); ++i) {
        const std::string& key = node.keys[i].name;
        const std::string below = path + "." + Shorten(key);
        if (object.contains(key)) {
          faults.Add({*node.source, node.keys[i].mark, below, "this key stands here twice",
                      "keep one of them"});
          continue;
        }
        object[key] = ToOpaqueJson(node.items[i], below, faults);
      }
      return object;
    }
  }
  return nullptr;
}

namespace {

// Counts nodes and depth on the way; returns false once a limit is passed.
bool Convert(const nlohmann::json& json, const std::shared_ptr<const std::string>& source,
             size_t depth, size_t& count, Node& node) {
  if (depth > kMaxManifestDepth || ++count > kMaxManifestNodes) return false;
  node.source = source;
  if (json.is_null()) return true;
  if (json.is_structured()) {
    node.kind = json.is_object() ? Node::Kind::kMap : Node::Kind::kList;
    node.items.resize(json.size());
    size_t i = 0;
    for (const auto& [key, value] : json.items()) {
      if (json.is_object()) node.keys.push_back({key, {}});
      if (!Convert(value, source, depth + 1, count, node.items[i++])) return false;
    }
    return true;
  }
  node.kind = Node::Kind::kScalar;
  node.quoted = json.is_string();
  node.text = node.quoted ? json.get<std::string>() : json.dump();
  return true;
}

}  // namespace

std::optional<Node> NodeFromJson(const nlohmann::json& json, const std::string& source,
                                 Faults& faults) {
  Node root;
  size_t count = 0;
  if (Convert(json, std::make_shared<const std::string>(source), 0, count, root)) return root;
  faults.Add({source,
              {},
              "",
              "the manifest is too large or too deeply nested",
              "at most 20,000 values, 64 deep"});
  return std::nullopt;
}

}  // namespace longstride
