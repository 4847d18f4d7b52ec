// A manifest as a plain tree with positions, between the text (YAML or JSON) and the typed job.
// Input is bounded before and while it is read: bytes, depth, nodes; anchors, aliases, merge keys
// and tags are refused, so a tree is never larger than its text.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/spec/fault.h"

namespace longstride {

inline constexpr size_t kMaxManifestBytes = 1 << 20;
inline constexpr size_t kMaxManifestDepth = 64;
inline constexpr size_t kMaxManifestNodes = 20000;

struct Node {
  enum class Kind { kNull, kScalar, kList, kMap };
  struct Key {
    std::string name;
    Mark mark;
  };

  Kind kind = Kind::kNull;
  std::string text;     // kScalar: as written, without quotes
  bool quoted = false;  // kScalar: a string, whatever it looks like
  Mark mark;
  std::shared_ptr<const std::string> source;  // names the file or flag in faults
  std::vector<Key> keys;                      // kMap: the key of each of `items`
  std::vector<Node> items;                    // kList, kMap

  // The value of `key` in a map (the first, if it stands there twice), or null.
  [[nodiscard]] Node* Find(std::string_view key);
  [[nodiscard]] const Node* Find(std::string_view key) const;
};

// Reads one YAML document; JSON is a subset. On a fault of the text itself (syntax, limits, a
// second document) adds it to `faults` and returns nothing.
[[nodiscard]] std::optional<Node> ReadNode(std::string_view text, const std::string& source,
                                           Faults& faults);

// The same from JSON values, which have no positions.
[[nodiscard]] std::optional<Node> NodeFromJson(const nlohmann::json& json,
                                               const std::string& source, Faults& faults);

// An opaque part (a pod template) as JSON; plain scalars become null, bool, integer, number or
// string as kubectl reads them. Duplicate keys are added to `faults` under `path`.
[[nodiscard]] nlohmann::json ToOpaqueJson(const Node& node, const std::string& path,
                                          Faults& faults);

// What a plain scalar means where no type is expected; nullopt = a string.
[[nodiscard]] std::optional<nlohmann::json> ResolvePlain(const std::string& text);

// Whole-text conversions without locale; nullopt unless all of `text` is one number that fits.
// Integers are decimal without leading zeros; numbers are finite.
[[nodiscard]] std::optional<int64_t> ReadInteger(std::string_view text);
[[nodiscard]] std::optional<double> ReadNumber(std::string_view text);

}  // namespace longstride
