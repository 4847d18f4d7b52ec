// The two visitors that fields.h applies to a message: one writes it as a JSON object, one reads it
// back and checks it. A message's members are thereby named, typed and bounded in one place.
//
// A reader keeps the first fault with its path and turns every later call into a no-op; ask fault()
// at the end. Not thread-safe; internal to core/protocol.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "core/schedule/position_ranges.h"

namespace longstride {

// Parses `text` if it is at most `max_bytes` long and nested at most 16 deep; kUser otherwise.
[[nodiscard]] Result<nlohmann::json> ParseBoundedJson(std::string_view text, size_t max_bytes);
// Compact text; bytes that are not UTF-8 are replaced.
[[nodiscard]] std::string DumpJson(const nlohmann::json& json);

class JsonWriter {
 public:
  template <typename T>
  void Integer(const char* key, const T& value, int64_t, int64_t) {
    json_[key] = value;
  }
  void Integer(const char* key, const std::optional<int64_t>& value, int64_t, int64_t) {
    if (value) json_[key] = *value;
  }
  void Number(const char* key, const double& value, double, double) { json_[key] = value; }
  // A measured value: NaN and infinities become null.
  void Measured(const char* key, const double& value) { json_[key] = value; }
  void Measured(const char* key, const std::optional<double>& value) {
    if (value) json_[key] = *value;
  }
  void Flag(const char* key, const bool& value) { json_[key] = value; }
  void String(const char* key, const std::string& value, size_t) { json_[key] = value; }
  // Free text for people: cut to the bound rather than refused.
  void Text(const char* key, const std::string& value, size_t max_bytes) {
    json_[key] = value.substr(0, max_bytes);
  }
  template <typename E, size_t N>
  void Choice(const char* key, const E& value, const char* const (&names)[N]) {
    json_[key] = names[static_cast<size_t>(value)];
  }
  void Bytes(const char* key, const std::vector<uint8_t>& value, size_t max_bytes);
  void Integers(const char* key, const std::vector<int64_t>& value, int64_t, int64_t, size_t) {
    json_[key] = value;
  }
  void Points(const char* key, const std::vector<std::pair<int64_t, double>>& value, size_t) {
    json_[key] = value;  // pairs become arrays of two
  }
  void Ranges(const char* key, const std::vector<PositionRange>& value, int64_t, size_t) {
    nlohmann::json& list = json_[key] = nlohmann::json::array();
    for (const PositionRange& r : value) list.push_back({r.begin, r.end});
  }
  template <typename M>
  void Object(const char* key, const M& value) {
    JsonWriter inner;
    Fields(inner, value);
    json_[key] = std::move(inner.json_);
  }
  template <typename M>
  void Object(const char* key, const std::optional<M>& value) {
    if (value) Object(key, *value);
  }
  template <typename M>
  void List(const char* key, const std::vector<M>& value, size_t) {
    nlohmann::json list = nlohmann::json::array();
    for (const M& element : value) {
      JsonWriter inner;
      Fields(inner, element);
      list.push_back(std::move(inner.json_));
    }
    json_[key] = std::move(list);
  }

  nlohmann::json& json() { return json_; }

 private:
  nlohmann::json json_ = nlohmann::json::object();
};

class JsonReader {
 public:
  explicit JsonReader(const nlohmann::json& json) : JsonReader(json, "", nullptr) {}

  template <typename T>
  void Integer(const char* key, T& value, int64_t low, int64_t high) {
    if (const nlohmann::json* member = Find(key))
      value = static_cast<T>(ReadInteger(*member, key, low, high));
  }
  void Integer(const char* key, std::optional<int64_t>& value, int64_t low, int64_t high) {
    value.reset();
    if (!fault() && json_.is_object() && json_.contains(key))
      value = ReadInteger(json_[key], key, low, high);
  }
  void Number(const char* key, double& value, double low, double high);
  void Measured(const char* key, double& value);
  void Measured(const char* key, std::optional<double>& value);
  void Flag(const char* key, bool& value);
  void String(const char* key, std::string& value, size_t max_bytes);
  // The writer cuts at max_bytes; what is not UTF-8 then grows to three bytes each.
  void Text(const char* key, std::string& value, size_t max_bytes) {
    String(key, value, 3 * max_bytes);
  }
  template <typename E, size_t N>
  void Choice(const char* key, E& value, const char* const (&names)[N]) {
    std::string name;
    String(key, name, 64);
    if (fault()) return;
    for (size_t i = 0; i < N; ++i) {
      if (name == names[i]) {
        value = static_cast<E>(i);
        return;
      }
    }
    Fail(key, "has no such value: \"" + name + "\"");
  }
  void Bytes(const char* key, std::vector<uint8_t>& value, size_t max_bytes);
  void Integers(const char* key, std::vector<int64_t>& value, int64_t low, int64_t high,
                size_t max_count);
  void Points(const char* key, std::vector<std::pair<int64_t, double>>& value, size_t max_count);
  void Ranges(const char* key, std::vector<PositionRange>& value, int64_t high, size_t max_count);
  template <typename M>
  void Object(const char* key, M& value) {
    if (const nlohmann::json* member = Find(key)) Into(*member, key, value);
  }
  template <typename M>
  void Object(const char* key, std::optional<M>& value) {
    value.reset();
    if (fault() || !json_.is_object() || !json_.contains(key)) return;
    Into(json_[key], key, value.emplace());
  }
  template <typename M>
  void List(const char* key, std::vector<M>& value, size_t max_count) {
    const nlohmann::json* list = FindArray(key, max_count);
    if (!list) return;
    value.clear();
    for (size_t i = 0; i < list->size() && !fault(); ++i) {
      value.emplace_back();
      Into((*list)[i], std::string(key) + "[" + std::to_string(i) + "]", value.back());
    }
  }

  [[nodiscard]] bool fault() const { return !fault_->empty(); }
  [[nodiscard]] Error error() const { return UserError(*fault_); }

 private:
  JsonReader(const nlohmann::json& json, std::string path, std::string* fault);

  template <typename M>
  void Into(const nlohmann::json& json, const std::string& key, M& value) {
    JsonReader inner(json, path_ + key + ".", fault_);
    if (!fault()) Fields(inner, value);
  }
  // Gives each element of a list of pairs, with its name, to `use`.
  template <typename Use>
  void Pairs(const char* key, size_t max_count, const char* what, Use use);
  // The member, or nullptr after a fault was noted.
  const nlohmann::json* Find(const char* key);
  const nlohmann::json* FindArray(const char* key, size_t max_count);
  int64_t ReadInteger(const nlohmann::json& json, const std::string& key, int64_t low,
                      int64_t high);
  double ReadNumber(const nlohmann::json& json, const std::string& key, double low, double high);
  void Fail(const std::string& key, const std::string& what);

  const nlohmann::json& json_;
  const std::string path_;
  std::string own_fault_;
  std::string* fault_;
};

}  // namespace longstride
