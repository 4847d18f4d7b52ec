#include "core/spec/fields.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/spec/quantity.h"

namespace longstride {
namespace {

std::string NumberText(double value) {
  if (value == std::floor(value) && std::fabs(value) < 1e16) {
    return std::to_string(static_cast<int64_t>(value));
  }
  return nlohmann::json(value).dump();
}

std::vector<Field> BuildTable() {
  std::vector<Field> table = JobFields();
  for (auto* part : {&ModelFields, &DataFields, &TrainingFields}) {
    // The parts go where their heading object stands.
    std::vector<Field> fields = (*part)();
    const auto heading = std::find_if(
        table.begin(), table.end(), [&](const Field& f) { return f.path == fields.front().path; });
    const auto at = table.erase(heading);
    table.insert(at, std::make_move_iterator(fields.begin()),
                 std::make_move_iterator(fields.end()));
  }
  return table;
}

bool Holds(const std::vector<Condition>& any_of, const TrainingJob& job) {
  if (any_of.empty()) return true;
  return std::any_of(any_of.begin(), any_of.end(), [&](const Condition& condition) {
    const auto& values = condition.values;
    return std::find(values.begin(), values.end(), EnumName(job, condition.path)) != values.end();
  });
}

std::string_view ParentPath(std::string_view path) {
  const size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : path.substr(0, dot);
}

// Jobs are only read here; accessors take them mutable because parsing writes through the same
// ones.
FieldRef RefIn(const Field& field, const TrainingJob& job, size_t group) {
  return field.at(const_cast<TrainingJob&>(job), group);
}

}  // namespace

const char* FieldTypeName(FieldType type) {
  switch (type) {
    case FieldType::kObject:
    case FieldType::kOpaque:
      return "object";
    case FieldType::kObjectList:
      return "list of objects";
    case FieldType::kString:
      return "string";
    case FieldType::kStringMap:
      return "object of strings";
    case FieldType::kInteger:
      return "integer";
    case FieldType::kNumber:
      return "number";
    case FieldType::kBoolean:
      return "boolean";
    case FieldType::kEnum:
      return "one of";
    case FieldType::kIntegerList:
      return "list of integers";
    case FieldType::kNumberList:
      return "list of numbers";
    case FieldType::kQuantity:
      return "quantity of bytes";
  }
  return "";
}

std::string Bounds::Text() const {
  const bool low = std::isfinite(min), high = std::isfinite(max) && max < 9e15;
  if (!low && !high) return "";
  if (low && high && !above_min && !below_max) return NumberText(min) + " to " + NumberText(max);
  std::string text;
  if (low) text = (above_min ? "above " : "at least ") + NumberText(min);
  if (high)
    text += (low ? ", " : "") + (below_max ? "below " : std::string("at most ")) + NumberText(max);
  return text;
}

Field&& Field::When(std::string where, std::vector<std::string> names) && {
  only_when.push_back({std::move(where), std::move(names)});
  return std::move(*this);
}
Field&& Field::DefaultWhen(std::string where, std::vector<std::string> names, double value) && {
  default_when.push_back({{std::move(where), std::move(names)}, value});
  return std::move(*this);
}
Field&& Field::Required() && {
  required = true;
  return std::move(*this);
}
Field&& Field::Example(std::string text) && {
  example = std::move(text);
  return std::move(*this);
}
Field&& Field::Items(size_t min, size_t max) && {
  min_items = min;
  max_items = max;
  return std::move(*this);
}
Field&& Field::MaxLength(size_t bytes) && {
  max_length = bytes;
  return std::move(*this);
}
Field&& Field::Pattern(std::string text) && {
  pattern = std::move(text);
  return std::move(*this);
}

const std::vector<Field>& AllFields() {
  static const std::vector<Field> kTable = BuildTable();
  return kTable;
}

const Field* FindField(std::string_view table_path) {
  static const auto kIndex = [] {
    std::map<std::string, const Field*, std::less<>> index;
    for (const Field& field : AllFields()) index[field.path] = &field;
    return index;
  }();
  const auto found = kIndex.find(table_path);
  return found == kIndex.end() ? nullptr : found->second;
}

std::vector<const Field*> ChildrenOf(std::string_view table_path) {
  std::vector<const Field*> children;
  for (const Field& field : AllFields()) {
    if (ParentPath(field.path) == table_path) children.push_back(&field);
  }
  return children;
}

std::string TablePath(std::string_view concrete_path) {
  std::string path;
  bool inside = false;
  for (const char c : concrete_path) {
    if (c == ']') inside = false;
    if (!inside) path += c;
    if (c == '[') inside = true;
  }
  return path;
}

const TrainingJob& DefaultJob() {
  static const TrainingJob kJob = [] {
    TrainingJob job;
    for (const Field& field : AllFields()) {
      if (field.create) field.create(job);
    }
    return job;
  }();
  return kJob;
}

bool Applies(const Field& field, const TrainingJob& job) {
  if (!Holds(field.only_when, job)) return false;
  std::string_view above = ParentPath(field.path);
  if (above.ends_with("[]")) above.remove_suffix(2);
  const Field* parent = FindField(above);
  return !parent || Applies(*parent, job);
}

std::string ConditionText(const Field& field) {
  std::string text;
  for (const Condition& condition : field.only_when) {
    text += (text.empty() ? "" : ", or ") + condition.path + " is ";
    const size_t n = condition.values.size();
    for (size_t i = 0; i < n; ++i) {
      text += (i == 0 ? "" : i + 1 == n ? " or " : ", ") + condition.values[i];
    }
  }
  return text;
}

nlohmann::json ValueOf(const Field& field, const TrainingJob& job, size_t group) {
  const FieldRef ref = RefIn(field, job, group);
  if (field.type == FieldType::kQuantity) return FormatQuantity(*std::get<int64_t*>(ref));
  return std::visit(
      [&](const auto& value) -> nlohmann::json {
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, EnumRef>) {
          return field.values.at(static_cast<size_t>(value.get()));
        } else {
          return *value;
        }
      },
      ref);
}

std::string EnumName(const TrainingJob& job, std::string_view path) {
  return ValueOf(*FindField(path), job).get<std::string>();
}

}  // namespace longstride
