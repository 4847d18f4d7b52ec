// The border to yaml-cpp: events in, a bounded Node tree out, no exception past ReadNode. Its own node
// type is not used: it resolves aliases into shared nodes, which turns a small text into a huge walk.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <sstream>

#include "core/spec/node.h"

namespace longstride {
namespace {

struct Refusal {
  Mark mark;
  std::string message;
  std::string hint;
};

Mark ToMark(const YAML::Mark& mark) {
  if (mark.is_null()) return {};
  return {mark.line + 1, mark.column + 1};
}

// Throws Refusal, which only ReadNode catches.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::shared_ptr<const std::string> source) : source_(std::move(source)) {}

  std::optional<Node> root;

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnAnchor(const YAML::Mark& mark, const std::string&) override { RefuseAnchor(mark); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { RefuseAnchor(mark); }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Place(Make(mark, "", anchor, Node::Kind::kNull));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node node = Make(mark, tag, anchor, Node::Kind::kScalar);
    node.text = value;
    node.quoted = tag == "!";
    Place(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(Make(mark, tag, anchor, Node::Kind::kList));
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(Make(mark, tag, anchor, Node::Kind::kMap));
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapEnd() override { Close(); }

 private:
  [[noreturn]] static void RefuseAnchor(const YAML::Mark& mark) {
    throw Refusal{ToMark(mark), "anchors and aliases are not supported", "write the value out"};
  }

  Node Make(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            Node::Kind kind) {
    if (anchor != YAML::NullAnchor) RefuseAnchor(mark);
    // yaml-cpp names a value without a tag "?", and "!" when it is quoted.
    if (!tag.empty() && tag != "?" && tag != "!") {
      throw Refusal{ToMark(mark), "the tag " + tag + " is not supported", "remove it"};
    }
    if (++count_ > kMaxManifestNodes) {
      throw Refusal{ToMark(mark), "more than 20,000 values in one manifest", ""};
    }
    Node node;
    node.kind = kind;
    node.mark = ToMark(mark);
    node.source = source_;
    return node;
  }

  void Open(Node node) {
    const bool as_key = !open_.empty() && ExpectsKey(open_.back());
    if (as_key) throw Refusal{node.mark, "a key must be a single word", "is a bracket left open?"};
    if (open_.size() >= kMaxManifestDepth) {
      throw Refusal{node.mark, "nested more than 64 levels deep", ""};
    }
    open_.push_back(std::move(node));
  }

  void Close() {
    Node done = std::move(open_.back());
    open_.pop_back();
    Place(std::move(done));
  }

  static bool ExpectsKey(const Node& parent) {
    return parent.kind == Node::Kind::kMap && parent.keys.size() == parent.items.size();
  }

  void Place(Node node) {
    if (open_.empty()) {
      root = std::move(node);
      return;
    }
    Node& parent = open_.back();
    if (!ExpectsKey(parent)) {
      parent.items.push_back(std::move(node));
      return;
    }
    if (node.kind != Node::Kind::kScalar) {
      throw Refusal{node.mark, "a key must be a single word", "is a bracket left open?"};
    }
    if (node.text == "<<" && !node.quoted) {
      throw Refusal{node.mark, "merge keys (<<) are not supported", "write the fields out"};
    }
    parent.keys.push_back({std::move(node.text), node.mark});
  }

  std::shared_ptr<const std::string> source_;
  std::vector<Node> open_;
  size_t count_ = 0;
};

// Position of the first byte that is not plain UTF-8 text, if any. yaml-cpp takes some control characters
// for its own marks, and JSON writers throw on broken UTF-8, so neither may pass.
std::optional<Mark> FirstBadByte(std::string_view text) {
  Mark mark{1, 1};
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    size_t length = 1;
    if (c < 0x20 || c == 0x7f) {
      if (c != '\t' && c != '\n' && c != '\r') return mark;
    } else if (c >= 0x80) {
      length = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
      if (c < 0xc2 || c > 0xf4 || i + length > text.size()) return mark;
      uint32_t point = c & (0xffU >> (length + 1));
      for (size_t k = 1; k < length; ++k) {
        const auto next = static_cast<unsigned char>(text[i + k]);
        if ((next & 0xc0) != 0x80) return mark;
        point = point << 6 | (next & 0x3fU);
      }
      const bool overlong = (length == 3 && point < 0x800) || (length == 4 && point < 0x10000);
      if (overlong || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) return mark;
    }
    mark.column += static_cast<int>(length);
    if (c == '\n') mark = {mark.line + 1, 1};
    i += length;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Node> ReadNode(std::string_view text, const std::string& source, Faults& faults) {
  if (text.size() > kMaxManifestBytes) {
    faults.Add({source, {}, "", "the manifest is larger than 1 MiB", ""});
    return std::nullopt;
  }
  if (const auto bad = FirstBadByte(text)) {
    faults.Add({source, *bad, "", "not UTF-8 text (a stray byte or control character)",
                "save the file as UTF-8"});
    return std::nullopt;
  }
  const auto shared_source = std::make_shared<const std::string>(source);
  std::optional<Node> document;
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    Mark last_empty;
    while (true) {
      TreeBuilder builder(shared_source);
      if (!parser.HandleNextDocument(builder)) break;
      if (!builder.root || builder.root->kind == Node::Kind::kNull) {
        // At a token that cannot start a value, yaml-cpp gives empty documents for ever.
        const Mark here = builder.root ? builder.root->mark : last_empty;
        if (here.line == last_empty.line && here.column == last_empty.column) {
          throw Refusal{here, "not valid YAML: something stands here that belongs to nothing",
                        "is there a bracket too many?"};
        }
        last_empty = here;
        continue;
      }
      if (document) {
        throw Refusal{builder.root->mark, "a second document in one file",
                      "put each TrainingJob into a file of its own"};
      }
      document = std::move(builder.root);
    }
  } catch (const Refusal& refusal) {
    faults.Add({source, refusal.mark, "", refusal.message, refusal.hint});
    return std::nullopt;
  } catch (const YAML::Exception& error) {
    faults.Add({source, ToMark(error.mark), "", "not valid YAML: " + error.msg, ""});
    return std::nullopt;
  } catch (const std::exception& error) {
    faults.Add({source, {}, "", std::string("not valid YAML: ") + error.what(), ""});
    return std::nullopt;
  }
  if (!document) faults.Add({source, {1, 1}, "", "the manifest is empty", ""});
  return document;
}

}  // namespace longstride
