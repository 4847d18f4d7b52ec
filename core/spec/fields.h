// The field table: every field of a TrainingJob, once. Parsing, bounds, `longstride explain`,
// docs/manifest.md, JSON output and the CRD are all driven by it. Defaults are not repeated here:
// they are the member initializers in training_job.h, read through the table's accessors.
//
// A table path names a kind of place ("spec.workers[].batch.min"); a concrete path names one place
// ("spec.workers[1].batch.min").
#pragma once

#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/spec/training_job.h"

namespace longstride {

enum class FieldType {
  kObject,
  kObjectList,
  kOpaque,  // any object, kept as it is
  kString,
  kStringMap,
  kInteger,
  kNumber,
  kBoolean,
  kEnum,
  kIntegerList,
  kNumberList,
  kQuantity,  // of bytes
};

// "integer", "list of numbers", ...
[[nodiscard]] const char* FieldTypeName(FieldType type);

// An enumeration by its index into Field::values.
struct EnumRef {
  std::function<int()> get;
  std::function<void(int)> set;
};
using FieldRef = std::variant<int64_t*, double*, bool*, std::string*, std::vector<int64_t>*,
                              std::vector<double>*, nlohmann::json*, EnumRef>;
// Reaches the value in a job; the second argument is the worker group for fields below
// spec.workers[].
using FieldAt = FieldRef (*)(TrainingJob&, size_t);

struct Bounds {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool above_min = false;  // min itself is out
  bool below_max = false;  // max itself is out

  [[nodiscard]] bool Contain(double value) const {
    return (above_min ? value > min : value >= min) && (below_max ? value < max : value <= max);
  }
  // "1 to 1024", "above 0, at most 1", ""; for messages and docs.
  [[nodiscard]] std::string Text() const;
};

// Holds when the enumeration at `path` has one of `values`.
struct Condition {
  std::string path;
  std::vector<std::string> values;
};
struct ConditionalDefault {
  Condition when;
  double value = 0;
};

struct Field {
  std::string path;  // table path
  FieldType type = FieldType::kObject;
  FieldAt at = nullptr;  // null for objects
  std::string description;
  std::string unit;                              // "samples", "seconds", ...; may be empty
  Bounds bounds;                                 // of a number, or of each entry of a list
  size_t min_items = 0, max_items = 0;           // of a list; max 0 = any
  size_t max_length = 0;                         // of a string, in bytes; 0 = any
  std::string pattern;                           // kString: a regular expression (RE2), for the CRD
  std::vector<std::string> values;               // kEnum: the names, in the order of the C++ enum
  bool required = false;                         // where it applies, and strings must not be empty
  std::vector<Condition> only_when;              // applies when any holds; empty = always
  std::vector<ConditionalDefault> default_when;  // kNumber: the first that holds beats the default
  std::string example;
  // Objects that may be absent (std::optional in the job); null for all others.
  bool (*present)(const TrainingJob&) = nullptr;
  void (*create)(TrainingJob&) = nullptr;

  [[nodiscard]] std::string name() const { return path.substr(path.rfind('.') + 1); }

  // For writing the table.
  Field&& When(std::string path, std::vector<std::string> values) &&;
  Field&& DefaultWhen(std::string path, std::vector<std::string> values, double value) &&;
  Field&& Required() &&;
  Field&& Example(std::string text) &&;
  Field&& Items(size_t min, size_t max) &&;
  Field&& MaxLength(size_t bytes) &&;
  Field&& Pattern(std::string text) &&;
};

// The table, parents before children, in the order of the docs.
[[nodiscard]] const std::vector<Field>& AllFields();
// Null if there is none.
[[nodiscard]] const Field* FindField(std::string_view table_path);
[[nodiscard]] std::vector<const Field*> ChildrenOf(std::string_view table_path);
// "spec.workers[3].name" -> "spec.workers[].name".
[[nodiscard]] std::string TablePath(std::string_view concrete_path);

// A job in which every optional object is present, so that every default can be read.
[[nodiscard]] const TrainingJob& DefaultJob();

// True if the conditions of `field` and of all objects above it hold in `job`.
[[nodiscard]] bool Applies(const Field& field, const TrainingJob& job);
// "spec.model.name is cnn or mlp" for one field's own conditions.
[[nodiscard]] std::string ConditionText(const Field& field);
// The value as JSON, e.g. 16, "sgd", [16, 32]. `field` has an accessor and its object is present.
[[nodiscard]] nlohmann::json ValueOf(const Field& field, const TrainingJob& job, size_t group = 0);
// The name of the value that an enumeration has: EnumName(job, "spec.model.name") is "cnn".
[[nodiscard]] std::string EnumName(const TrainingJob& job, std::string_view path);

// The parts of the table, by subject; only fields.cpp calls them.
[[nodiscard]] std::vector<Field> JobFields();
[[nodiscard]] std::vector<Field> ModelFields();
[[nodiscard]] std::vector<Field> DataFields();
[[nodiscard]] std::vector<Field> TrainingFields();

}  // namespace longstride
