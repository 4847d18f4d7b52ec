#include "core/spec/rules.h"

#include <algorithm>

#include "core/spec/contradictions.h"
#include "core/spec/crd_schema.h"
#include "core/spec/fields.h"

namespace longstride {
namespace {

std::string Join(std::string_view object, std::string_view name) {
  return object.empty() ? std::string(name) : std::string(object) + "." + std::string(name);
}

std::string Parent(std::string_view path) {
  const size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? "" : std::string(path.substr(0, dot));
}

std::string Quoted(const std::string& text) {
  return "'" + text + "'";
}

std::string Literal(const Field& field) {
  const nlohmann::json value = ValueOf(field, DefaultJob());
  return value.is_string() ? Quoted(value.get<std::string>()) : value.dump();
}

// has(self.a) && has(self.a.b): that all steps to `path` below `at` are there; empty if they always
// are.
std::string Guards(std::string_view at, std::string_view path) {
  std::string guards, object(at), self = "self";
  for (size_t from = 0; from <= path.size();) {
    const size_t dot = std::min(path.find('.', from), path.size());
    const std::string_view name = path.substr(from, dot - from);
    object = Join(object, name);
    self = Join(self, name);
    if (!IsAlwaysThere(*FindField(object))) {
      guards += (guards.empty() ? "has(" : " && has(") + self + ")";
    }
    from = dot + 1;
  }
  return guards;
}

// `path` below `at`, or its default where it is absent.
std::string Read(std::string_view at, std::string_view path) {
  const std::string guards = Guards(at, path);
  const std::string self = Join("self", path);
  if (guards.empty()) return self;
  return "(" + guards + " ? " + self + " : " + Literal(*FindField(Join(at, path))) + ")";
}

std::string Below(std::string_view at, std::string_view path) {
  return std::string(at.empty() ? path : path.substr(at.size() + 1));
}

// The deepest object that holds `field` and all that its conditions look at.
std::string CommonObject(const Field& field) {
  std::string common = Parent(field.path);
  for (const Condition& condition : field.only_when) {
    while (!condition.path.starts_with(common + ".")) common = Parent(common);
  }
  return common;
}

// That the conditions of `field` hold, read from the object `at`.
std::string Applicable(const Field& field, std::string_view at) {
  std::string text;
  for (const Condition& condition : field.only_when) {
    std::string values;
    for (const std::string& value : condition.values) {
      values += (values.empty() ? "" : ", ") + Quoted(value);
    }
    text +=
        (text.empty() ? "" : " || ") + Read(at, Below(at, condition.path)) + " in [" + values + "]";
  }
  return text;
}

// Required where it applies: of itself, or because something in it is; not if its absence has a
// meaning of its own.
bool NeededWhenApplicable(const Field& field) {
  if (field.required) return true;
  if (field.present != nullptr) return false;
  const auto children = ChildrenOf(field.path);
  return std::any_of(children.begin(), children.end(), [](const Field* child) {
    return child->required && child->only_when.empty();
  });
}

void AddConditions(std::string_view at, std::vector<Rule>& rules) {
  for (const Field& field : AllFields()) {
    if (field.only_when.empty() || CommonObject(field) != at) continue;
    const std::string below = Below(at, field.path);
    const std::string applicable = Applicable(field, at), there = Guards(at, below);
    rules.push_back({std::string(at), below, "!(" + there + ") || " + applicable,
                     "would be ignored: it applies only when " + ConditionText(field)});
    if (!NeededWhenApplicable(field)) continue;
    rules.push_back({std::string(at), "", "!(" + applicable + ") || " + there,
                     field.path + " is missing: it is needed when " + ConditionText(field)});
  }
}

// Of spec: all but these must stay as they are while the job is not suspended. The workers decide
// from the spec that they were given when they joined, so it must be the same for all of them.
// These no worker looks at, and the operator reads them anew at each look, also after the end.
// Not so shedStragglers, which is the coordinator's, and managedBy, which says whose the job is.
constexpr std::string_view kMayChange[] = {"spec.replicas",
                                           "spec.runPolicy",
                                           "spec.runPolicy.suspend",
                                           "spec.runPolicy.suspendGraceSeconds",
                                           "spec.runPolicy.activeDeadlineSeconds",
                                           "spec.runPolicy.backoffLimit",
                                           "spec.runPolicy.backoffLimitPerWorker",
                                           "spec.runPolicy.startTimeoutSeconds",
                                           "spec.runPolicy.ttlSecondsAfterFinished",
                                           "spec.runPolicy.cleanPodPolicy"};

bool MayChange(std::string_view path) {
  return std::ranges::find(kMayChange, path) != std::end(kMayChange);
}

void AddImmutable(std::vector<Rule>& rules) {
  for (const Field& field : AllFields()) {
    const std::string object = Parent(field.path);
    if ((object != "spec" && object != "spec.runPolicy") || MayChange(field.path)) continue;
    const std::string path = Below("spec", field.path);
    const std::string now = "self." + path, then = "oldSelf." + path;
    std::string same = now + " == " + then;
    if (!IsAlwaysThere(field)) {
      same = "has(" + now + ") == has(" + then + ") && (!has(" + now + ") || " + same + ")";
    }
    rules.push_back({"spec", path, "oldSelf.runPolicy.suspend || (" + same + ")",
                     "cannot change while the job is not suspended: set runPolicy.suspend to true "
                     "first"});
  }
}

}  // namespace

std::string ExpandFields(std::string_view at, std::string_view text) {
  std::string expanded;
  for (size_t from = 0; from < text.size();) {
    const size_t open = std::min(text.find("${", from), text.size());
    expanded += text.substr(from, open - from);
    if (open == text.size()) break;
    const size_t close = text.find('}', open);
    expanded += Read(at, text.substr(open + 2, close - open - 2));
    from = close + 1;
  }
  return expanded;
}

std::vector<Rule> RulesAt(std::string_view table_path) {
  std::vector<Rule> rules;
  AddConditions(table_path, rules);
  for (const Rule& rule : Contradictions()) {
    if (rule.at != table_path) continue;
    rules.push_back(rule);
    rules.back().expression = ExpandFields(rule.at, rule.expression);
  }
  if (table_path == "spec") AddImmutable(rules);
  return rules;
}

}  // namespace longstride
