#include "tests/controller/kube/selector.h"

namespace longstride::kube {
namespace {

std::string Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(' ');
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(' ') - begin + 1));
}

// At commas that stand outside of parentheses.
std::vector<std::string> Split(std::string_view text) {
  std::vector<std::string> parts;
  size_t begin = 0;
  int depth = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] == '(') ++depth;
    if (i < text.size() && text[i] == ')') --depth;
    if (i < text.size() && (text[i] != ',' || depth > 0)) continue;
    const std::string part = Trim(text.substr(begin, i - begin));
    if (!part.empty()) parts.push_back(part);
    begin = i + 1;
  }
  return parts;
}

}  // namespace

Selector::Selector(std::string_view text) {
  for (const std::string& part : Split(text)) {
    Requirement requirement;
    const size_t open = part.find('(');
    const size_t equals = part.find('=');
    if (open != std::string::npos) {
      const size_t in = part.find(" in ");
      requirement.negated = in == std::string::npos;
      requirement.key = Trim(part.substr(0, requirement.negated ? part.find(" notin ") : in));
      const std::vector<std::string> values =
          Split(std::string_view(part).substr(open + 1, part.find(')') - open - 1));
      requirement.values = {values.begin(), values.end()};
    } else if (equals != std::string::npos) {
      requirement.negated = equals > 0 && part[equals - 1] == '!';
      requirement.key = Trim(part.substr(0, requirement.negated ? equals - 1 : equals));
      requirement.values = {Trim(part.substr(part.find_last_of('=') + 1))};
    } else {
      requirement.negated = part[0] == '!';
      requirement.key = Trim(part.substr(requirement.negated ? 1 : 0));
    }
    requirements_.push_back(std::move(requirement));
  }
}

bool Selector::Matches(const Json& object) const {
  const Json& labels = ValueAt(object, "/metadata/labels");
  for (const Requirement& requirement : requirements_) {
    const bool there = labels.is_object() && labels.contains(requirement.key);
    const bool holds =
        there && (requirement.values.empty() ||
                  requirement.values.contains(labels[requirement.key].get<std::string>()));
    if (holds == requirement.negated) return false;
  }
  return true;
}

}  // namespace longstride::kube
