#include "core/protocol/json_codec.h"

#include <algorithm>
#include <cmath>

#include "core/base/format.h"
#include "core/protocol/base64.h"

namespace longstride {
namespace {

constexpr int kMaxDepth = 16;

int Depth(std::string_view text) {
  int depth = 0, deepest = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

Result<nlohmann::json> ParseBoundedJson(std::string_view text, size_t max_bytes) {
  if (text.size() > max_bytes) {
    return UserError(
        Format("message of %zu bytes; at most %zu are accepted", text.size(), max_bytes));
  }
  if (Depth(text) > kMaxDepth) {
    return UserError(Format("message nested deeper than %d levels", kMaxDepth));
  }
  nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return UserError("message is not valid JSON");
  return json;
}

std::string DumpJson(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void JsonWriter::Bytes(const char* key, const std::vector<uint8_t>& value, size_t) {
  json_[key] = EncodeBase64(value);
}

JsonReader::JsonReader(const nlohmann::json& json, std::string path, std::string* fault)
    : json_(json), path_(std::move(path)), fault_(fault ? fault : &own_fault_) {
  if (json_.is_object()) return;
  if (path_.empty()) {
    Fail("message", "is not an object");
  } else if (fault_->empty()) {
    *fault_ = path_.substr(0, path_.size() - 1) + ": is not an object";
  }
}

void JsonReader::Fail(const std::string& key, const std::string& what) {
  if (fault_->empty()) *fault_ = path_ + key + ": " + what;
}

const nlohmann::json* JsonReader::Find(const char* key) {
  if (fault()) return nullptr;
  const auto it = json_.find(key);
  if (it == json_.end()) {
    Fail(key, "is missing");
    return nullptr;
  }
  return &*it;
}

const nlohmann::json* JsonReader::FindArray(const char* key, size_t max_count) {
  const nlohmann::json* list = Find(key);
  if (!list) return nullptr;
  if (!list->is_array()) {
    Fail(key, "is not an array");
    return nullptr;
  }
  if (list->size() > max_count) {
    Fail(key, Format("has %zu elements; at most %zu are accepted", list->size(), max_count));
    return nullptr;
  }
  return list;
}

int64_t JsonReader::ReadInteger(const nlohmann::json& json, const std::string& key, int64_t low,
                                int64_t high) {
  const bool integer =
      json.is_number_integer() &&
      !(json.is_number_unsigned() &&
        json.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()));
  const int64_t value = integer ? json.get<int64_t>() : 0;
  if (!integer || value < low || value > high) {
    Fail(key, Format("is not an integer from %lld to %lld", static_cast<long long>(low),
                     static_cast<long long>(high)));
    return low;
  }
  return value;
}

void JsonReader::Integer(const char* key, std::optional<int64_t>& value, int64_t low,
                         int64_t high) {
  value.reset();
  if (!fault() && json_.contains(key)) Integer(key, value.emplace(), low, high);
}

double JsonReader::ReadNumber(const nlohmann::json& json, const std::string& key, double low,
                              double high) {
  const double value = json.is_number() ? json.get<double>() : std::nan("");
  if (!std::isfinite(value) || value < low || value > high) {
    Fail(key, Format("is not a number from %g to %g", low, high));
    return low;
  }
  return value;
}

void JsonReader::Number(const char* key, double& value, double low, double high) {
  if (const nlohmann::json* member = Find(key)) value = ReadNumber(*member, key, low, high);
}

void JsonReader::Measured(const char* key, double& value) {
  const nlohmann::json* member = Find(key);
  if (!member) return;
  if (member->is_null()) {
    value = std::nan("");
  } else if (member->is_number() && std::isfinite(member->get<double>())) {
    value = member->get<double>();
  } else {
    Fail(key, "is neither a number nor null");
  }
}

void JsonReader::Measured(const char* key, std::optional<double>& value) {
  value.reset();
  if (!fault() && json_.contains(key)) Measured(key, value.emplace());
}

void JsonReader::Flag(const char* key, bool& value) {
  const nlohmann::json* member = Find(key);
  if (!member) return;
  if (member->is_boolean()) {
    value = member->get<bool>();
  } else {
    Fail(key, "is neither true nor false");
  }
}

void JsonReader::String(const char* key, std::string& value, size_t max_bytes) {
  const nlohmann::json* member = Find(key);
  if (!member) return;
  if (!member->is_string()) {
    Fail(key, "is not a string");
  } else if (member->get_ref<const std::string&>().size() > max_bytes) {
    Fail(key, Format("is longer than %zu bytes", max_bytes));
  } else {
    value = member->get<std::string>();
  }
}

void JsonReader::Bytes(const char* key, std::vector<uint8_t>& value, size_t max_bytes) {
  std::string text;
  String(key, text, (max_bytes + 2) / 3 * 4);
  if (fault()) return;
  std::optional<std::vector<uint8_t>> bytes = DecodeBase64(text);
  if (bytes && bytes->size() <= max_bytes) {
    value = std::move(*bytes);
  } else {
    Fail(key, Format("is not base64 of at most %zu bytes", max_bytes));
  }
}

void JsonReader::Integers(const char* key, std::vector<int64_t>& value, int64_t low, int64_t high,
                          size_t max_count) {
  const nlohmann::json* list = FindArray(key, max_count);
  if (!list) return;
  value.clear();
  for (size_t i = 0; i < list->size() && !fault(); ++i) {
    value.push_back(ReadInteger((*list)[i], Format("%s[%zu]", key, i), low, high));
  }
}

template <typename Use>
void JsonReader::Pairs(const char* key, size_t max_count, const char* what, Use use) {
  const nlohmann::json* list = FindArray(key, max_count);
  if (!list) return;
  for (size_t i = 0; i < list->size() && !fault(); ++i) {
    const nlohmann::json& pair = (*list)[i];
    const std::string name = Format("%s[%zu]", key, i);
    if (!pair.is_array() || pair.size() != 2) {
      Fail(name, Format("is not a pair %s", what));
      return;
    }
    use(pair, name);
  }
}

void JsonReader::Points(const char* key, std::vector<std::pair<int64_t, double>>& value,
                        size_t max_count) {
  value.clear();
  Pairs(key, max_count, "[batch, seconds]", [&](const auto& pair, const std::string& name) {
    const int64_t batch = ReadInteger(pair[0], name + "[0]", 1, int64_t{1} << 40);
    value.emplace_back(batch, ReadNumber(pair[1], name + "[1]", 0, 1e9));
  });
}

void JsonReader::Ranges(const char* key, std::vector<PositionRange>& value, int64_t high,
                        size_t max_count) {
  value.clear();
  Pairs(key, max_count, "[begin, end]", [&](const auto& pair, const std::string& name) {
    const int64_t begin = ReadInteger(pair[0], name + "[0]", 0, high);
    value.push_back({begin, ReadInteger(pair[1], name + "[1]", begin, high)});
  });
}

}  // namespace longstride
