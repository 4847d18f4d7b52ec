// Short forms for writing the field table. Included only by the *_fields.cpp files.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/spec/fields.h"

// The accessor of a member of the spec, or of the worker group at hand.
#define LONGSTRIDE_AT(member) [](TrainingJob& job, size_t) -> FieldRef { return &job.spec.member; }
#define LONGSTRIDE_ENUM_AT(member) \
  [](TrainingJob& job, size_t) -> FieldRef { return field_builders::RefOf(job.spec.member); }
#define LONGSTRIDE_GROUP_AT(member) \
  [](TrainingJob& job, size_t group) -> FieldRef { return &job.spec.workers[group].member; }

namespace longstride::field_builders {

inline constexpr double kNone = std::numeric_limits<double>::infinity();
// Names of jobs, groups and namespaces (RFC 1123 labels), and of claims (subdomains).
inline constexpr const char* kLabelPattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
inline constexpr const char* kSubdomainPattern =
    "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
inline constexpr size_t kMaxPathLength = 4096;
// The largest integer that JSON readers keep exactly.
inline constexpr double kMaxInteger = 9007199254740991.0;

template <typename E>
EnumRef RefOf(E& value) {
  return {[&value] { return static_cast<int>(value); },
          [&value](int index) { value = static_cast<E>(index); }};
}

inline Bounds From(double min, double max = kNone) {
  return {min, max, false, false};
}
inline Bounds Above(double min, double max = kNone) {
  return {min, max, true, false};
}
inline Bounds FromToBelow(double min, double max) {
  return {min, max, false, true};
}
inline Bounds Between(double min, double max) {
  return {min, max, true, true};
}

inline Field Make(FieldType type, std::string path, FieldAt at, std::string description) {
  Field field;
  field.path = std::move(path);
  field.type = type;
  field.at = at;
  field.description = std::move(description);
  return field;
}
inline Field Object(std::string path, std::string description) {
  return Make(FieldType::kObject, std::move(path), nullptr, std::move(description));
}
inline Field String(std::string path, FieldAt at, std::string description) {
  return Make(FieldType::kString, std::move(path), at, std::move(description));
}
inline Field Boolean(std::string path, FieldAt at, std::string description) {
  return Make(FieldType::kBoolean, std::move(path), at, std::move(description));
}
inline Field Enum(std::string path, FieldAt at, std::vector<std::string> values,
                  std::string description) {
  Field field = Make(FieldType::kEnum, std::move(path), at, std::move(description));
  field.values = std::move(values);
  return field;
}
inline Field Numeric(FieldType type, std::string path, FieldAt at, Bounds bounds, std::string unit,
                     std::string description) {
  Field field = Make(type, std::move(path), at, std::move(description));
  field.bounds = bounds;
  field.unit = std::move(unit);
  return field;
}
inline Field Integer(std::string path, FieldAt at, Bounds bounds, std::string unit,
                     std::string description) {
  if (bounds.max == kNone) bounds.max = kMaxInteger;
  return Numeric(FieldType::kInteger, std::move(path), at, bounds, std::move(unit),
                 std::move(description));
}
inline Field Number(std::string path, FieldAt at, Bounds bounds, std::string unit,
                    std::string description) {
  return Numeric(FieldType::kNumber, std::move(path), at, bounds, std::move(unit),
                 std::move(description));
}
inline Field IntegerList(std::string path, FieldAt at, Bounds bounds, std::string unit,
                         std::string description) {
  if (bounds.max == kNone) bounds.max = kMaxInteger;
  return Numeric(FieldType::kIntegerList, std::move(path), at, bounds, std::move(unit),
                 std::move(description));
}
inline Field NumberList(std::string path, FieldAt at, Bounds bounds, std::string unit,
                        std::string description) {
  return Numeric(FieldType::kNumberList, std::move(path), at, bounds, std::move(unit),
                 std::move(description));
}

}  // namespace longstride::field_builders
