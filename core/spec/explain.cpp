#include "core/spec/explain.h"

#include <vector>

#include "core/spec/fault.h"
#include "core/spec/fields.h"
#include "core/spec/nearest.h"

namespace longstride {
namespace {

std::string TypeText(const Field& field) {
  if (field.type != FieldType::kEnum) return FieldTypeName(field.type);
  std::string text;
  for (const std::string& value : field.values) text += (text.empty() ? "" : " | ") + value;
  return text;
}

// The bounds of the value, or of a list and its entries, or of a string's length.
std::string BoundsText(const Field& field) {
  std::string text = field.bounds.Text();
  const bool list = field.type == FieldType::kIntegerList || field.type == FieldType::kNumberList;
  if (list && !text.empty()) text = "each " + text;
  if (field.type == FieldType::kString && field.max_length > 0)
    text = "at most " + std::to_string(field.max_length) + " characters";
  if (field.max_items > 0) {
    text = std::to_string(field.min_items) + " to " + std::to_string(field.max_items) + " entries" +
           (text.empty() ? "" : ", " + text);
  }
  return text;
}

// "16", "0.05 (0.001 when ...)", "required"; empty if there is none.
std::string DefaultText(const Field& field) {
  if (field.required) return "required";
  if (!field.at) return "";
  const nlohmann::json value = ValueOf(field, DefaultJob());
  std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  if (text == "{}" || text == "[]") text.clear();
  for (const ConditionalDefault& choice : field.default_when) {
    Field condition;
    condition.only_when = {choice.when};
    text += " (" + nlohmann::json(choice.value).dump() + " when " + ConditionText(condition) + ")";
  }
  return text;
}

std::string Row(const std::string& label, const std::string& text) {
  if (text.empty()) return "";
  return label + std::string(13 - label.size(), ' ') + text + "\n";
}

std::string ChildrenText(const std::string& table_path) {
  std::string text;
  for (const Field* child : ChildrenOf(table_path)) {
    std::string name = "  " + child->name();
    name += std::string(name.size() < 22 ? 22 - name.size() : 1, ' ');
    text += name + "<" + TypeText(*child) + ">" + (child->required ? " required" : "") + "\n";
    if (!child->description.empty()) text += "      " + child->description + "\n";
  }
  return text.empty() ? "" : "\nFIELDS\n" + text;
}

const Field* FindAsTyped(const std::string& path) {
  if (const Field* field = FindField(path)) return field;
  return FindField("spec." + path);
}

std::string Manifest() {
  return "TrainingJob, version longstride.dev/v1alpha1: one training run over several workers.\n" +
         ChildrenText("");
}

// Fields below `section`, depth first, as table rows with paths relative to spec.
void AddRows(const std::string& section, std::string& out) {
  for (const Field* field : ChildrenOf(section)) {
    const bool list = field->type == FieldType::kObjectList;
    std::string meaning = field->description;
    if (!field->only_when.empty()) meaning += " *Only when " + ConditionText(*field) + ".*";
    if (!field->unit.empty()) meaning += " [" + field->unit + "]";
    std::string type = TypeText(*field);
    for (size_t at = 0; (at = type.find(" | ", at)) != std::string::npos; at += 3) {
      type.replace(at, 3, ", ");
    }
    out += "| `" + field->path + "` | " + type + " | " + DefaultText(*field) + " | " +
           BoundsText(*field) + " | " + meaning + " |\n";
    if (field->type == FieldType::kObject || list) AddRows(field->path + (list ? "[]" : ""), out);
  }
}

}  // namespace

Result<std::string> Explain(std::string_view path) {
  std::string typed = TablePath(path);
  while (typed.ends_with("[]") || typed.ends_with(".")) {
    typed.resize(typed.size() - (typed.back() == '.' ? 1 : 2));
  }
  if (typed.empty()) return Manifest();
  const Field* field = FindAsTyped(typed);
  // Entries of a list may be named without an index: workers.name.
  if (!field) {
    const size_t at = typed.find("workers.");
    if (at != std::string::npos) field = FindAsTyped(std::string(typed).insert(at + 7, "[]"));
  }
  if (!field) {
    std::vector<std::string> paths;
    for (const Field& each : AllFields()) paths.push_back(each.path);
    for (const Field& each : AllFields()) {
      if (each.path.starts_with("spec.")) paths.push_back(each.path.substr(5));
    }
    auto near = Nearest(typed, paths);
    for (const Field& each : AllFields()) {
      if (!near && each.name() == typed) near = each.path;
    }
    return UserError("there is no field " + Shorten(typed) + " in a TrainingJob" +
                     (near ? "; did you mean " + *near + "?"
                           : "; longstride explain without a path lists them"));
  }
  std::string text =
      Row("FIELD", field->path) + Row("TYPE", TypeText(*field)) +
      Row("DEFAULT", DefaultText(*field)) + Row("UNIT", field->unit) +
      Row("BOUNDS", BoundsText(*field)) +
      Row("APPLIES", field->only_when.empty() ? "" : "when " + ConditionText(*field)) +
      Row("EXAMPLE", field->example.empty() ? "" : field->name() + ": " + field->example);
  text += "\n  " + field->description + "\n";
  const bool list = field->type == FieldType::kObjectList;
  if (field->type == FieldType::kObject || list)
    text += ChildrenText(field->path + (list ? "[]" : ""));
  return text;
}

std::string ManifestDocs() {
  std::string out =
      "# The TrainingJob manifest\n\n"
      "<!-- Generated from the field table in core/spec; do not edit. To renew it:\n"
      "     LONGSTRIDE_UPDATE_DOCS=1 ctest -R ManifestDocs -->\n\n"
      "One YAML or JSON document of `apiVersion: longstride.dev/v1alpha1`, `kind: TrainingJob`. "
      "The same\n"
      "file is what `longstride run` and `kubectl apply -f` take. `longstride validate FILE` "
      "reports every\n"
      "fault of a manifest with its line and column, or prints the job with all defaults;\n"
      "`longstride explain FIELD` shows what follows here for one field.\n\n"
      "- Unknown fields, and fields that the chosen kind would ignore, are faults: nothing is "
      "silently\n"
      "  dropped. A `status` is accepted and ignored, so the output of `kubectl get -o yaml` is "
      "valid.\n"
      "- `--set path=value` changes one field before validation, `--set path=null` removes it; "
      "paths may\n"
      "  leave out `spec.`, lists are written `[16, 32]`.\n"
      "- At most 1 MiB, 20,000 values, 64 levels deep, one document; no anchors, aliases, merge "
      "keys or\n"
      "  tags. Strings that look like numbers or booleans must be quoted, as kubectl demands.\n"
      "- Batches are in samples; schedules run in samples, so a growing batch does not stretch "
      "them.\n";
  const auto section = [&](const std::string& title, const std::string& path) {
    out += "\n## " + title + "\n\n";
    const Field* field = FindField(path);
    if (field && !field->description.empty()) out += field->description + "\n\n";
    out += "| field | type | default | bounds | meaning |\n|---|---|---|---|---|\n";
    AddRows(path, out);
  };
  section("metadata", "metadata");
  out += "\n## spec\n\n| field | type | default | bounds | meaning |\n|---|---|---|---|---|\n";
  std::vector<const Field*> objects;
  for (const Field* field : ChildrenOf("spec")) {
    if (field->type == FieldType::kObject) {
      objects.push_back(field);
      continue;
    }
    out += "| `" + field->path + "` | " + TypeText(*field) + " | " + DefaultText(*field) + " | " +
           BoundsText(*field) + " | " + field->description + " |\n";
    if (field->type == FieldType::kObjectList) AddRows(field->path + "[]", out);
  }
  for (const Field* field : objects) section(field->path, field->path);
  return out;
}

}  // namespace longstride
