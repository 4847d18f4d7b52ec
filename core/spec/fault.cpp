#include "core/spec/fault.h"

#include <algorithm>

namespace longstride {
namespace {

// True if `inner` is `outer` or a field below it.
bool Within(std::string_view inner, std::string_view outer) {
  if (inner.substr(0, outer.size()) != outer) return false;
  return inner.size() == outer.size() || inner[outer.size()] == '.' || inner[outer.size()] == '[';
}

}  // namespace

std::string Fault::Text() const {
  std::string text = source;
  if (mark.line > 0) {
    text += ":" + std::to_string(mark.line) + ":" + std::to_string(mark.column);
  }
  if (!text.empty()) text += ": ";
  if (!path.empty()) text += path + ": ";
  text += message;
  if (!hint.empty()) text += "; " + hint;
  return text;
}

void Faults::Add(Fault fault) {
  if (!fault.path.empty()) Taint(fault.path);
  list_.push_back(std::move(fault));
}

bool Faults::Touches(std::string_view path) const {
  return std::any_of(tainted_.begin(), tainted_.end(), [&](const std::string& tainted) {
    return Within(tainted, path) || Within(path, tainted);
  });
}

std::string Shorten(std::string_view text, size_t most) {
  size_t end = std::min(text.size(), most);
  // Not in the middle of a UTF-8 sequence.
  while (end < text.size() && end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) {
    --end;
  }
  std::string shown(text.substr(0, end));
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return end < text.size() ? shown + "..." : shown;
}

Error ToError(const std::vector<Fault>& faults) {
  constexpr size_t kShown = 50;
  std::string text;
  for (size_t i = 0; i < std::min(faults.size(), kShown); ++i) {
    if (i > 0) text += "\n";
    text += faults[i].Text();
  }
  if (faults.size() > kShown) {
    text += "\n... and " + std::to_string(faults.size() - kShown) + " more";
  }
  return UserError(text);
}

}  // namespace longstride
