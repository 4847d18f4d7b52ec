#include "cli/yaml_writer.h"

#include <algorithm>
#include <cctype>

namespace longstride {
namespace {

using Json = nlohmann::ordered_json;

// A plain scalar that no YAML version takes for anything but this string: letters, digits and a few
// signs, starting with a letter or '/', and not one of the words that YAML 1.1 reads as booleans or
// null.
bool IsPlain(const std::string& text) {
  if (text.empty()) return false;
  const auto first = static_cast<unsigned char>(text.front());
  if (!std::isalpha(first) && first != '/') return false;
  for (const char c : text) {
    if (!std::isalnum(static_cast<unsigned char>(c)) &&
        std::string_view("_-./").find(c) == std::string_view::npos) {
      return false;
    }
  }
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  for (const char* word : {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}) {
    if (lower == word) return false;
  }
  return true;
}

// A double-quoted YAML string is a JSON string.
std::string Scalar(const Json& json) {
  if (json.is_string() && IsPlain(json.get_ref<const std::string&>()))
    return json.get<std::string>();
  return json.dump();
}

bool IsBlock(const Json& json) {
  if (json.empty()) return false;
  if (json.is_object()) return true;
  return json.is_array() &&
         std::any_of(json.begin(), json.end(), [](const Json& j) { return j.is_structured(); });
}

void Write(const Json& json, size_t indent, std::string& text);

void WriteMember(const Json& value, size_t indent, std::string& text) {
  if (IsBlock(value)) {
    text += "\n";
    Write(value, indent + 2, text);
  } else if (value.is_array()) {
    text += " [";
    for (size_t i = 0; i < value.size(); ++i) text += (i > 0 ? ", " : "") + Scalar(value[i]);
    text += "]\n";
  } else {
    text += " " + Scalar(value) + "\n";
  }
}

void Write(const Json& json, size_t indent, std::string& text) {
  const std::string margin(indent, ' ');
  if (json.is_object()) {
    for (const auto& [key, value] : json.items()) {
      text += margin + Scalar(Json(key)) + ":";
      WriteMember(value, indent, text);
    }
    return;
  }
  for (const Json& element : json) {
    if (IsBlock(element)) {
      // The first line of the element moves up behind the dash.
      std::string block;
      Write(element, indent + 2, block);
      text += margin + "- " + block.substr(indent + 2);
    } else {
      text += margin + "-";
      WriteMember(element, indent, text);
    }
  }
}

}  // namespace

std::string ToYaml(const Json& json) {
  std::string text;
  if (IsBlock(json)) {
    Write(json, 0, text);
  } else {
    WriteMember(json, 0, text);
    text.erase(0, 1);  // the blank that follows a key
  }
  return text;
}

}  // namespace longstride
