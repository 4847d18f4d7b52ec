#include "core/spec/validate.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "core/base/format.h"
#include "core/spec/fields.h"
#include "core/spec/places.h"
#include "core/spec/validator.h"

namespace longstride {
namespace {

constexpr const char* kLabelRule =
    "lower-case letters, digits and '-', starting and ending with a letter or digit";

// RFC 1123 label, without the bound on its length.
bool IsLabel(const std::string& name) {
  const auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !name.empty() && alphanumeric(name.front()) && alphanumeric(name.back()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return alphanumeric(c) || c == '-'; });
}

// RFC 1123 subdomain: labels joined by dots.
bool IsSubdomain(const std::string& name) {
  for (size_t from = 0; from <= name.size();) {
    const size_t dot = std::min(name.find('.', from), name.size());
    if (!IsLabel(name.substr(from, dot - from))) return false;
    from = dot + 1;
  }
  return name.size() <= 253;
}

// True if a condition of `field` or of an object above it rests on a faulty field.
bool RestsOnFault(const Field& field, const Faults& faults) {
  for (const Condition& condition : field.only_when) {
    if (faults.Touches(condition.path)) return true;
  }
  const size_t dot = field.path.rfind('.');
  const Field* parent = dot == std::string::npos ? nullptr : FindField(field.path.substr(0, dot));
  return parent && RestsOnFault(*parent, faults);
}

}  // namespace

void Validator::CheckRequired() {
  for (const Field& field : AllFields()) {
    if (!field.required || IsSet(field.path) || faults_.Touches(field.path)) continue;
    if (RestsOnFault(field, faults_) || !Applies(field, job_)) continue;
    const size_t dot = field.path.rfind('.');
    const Field* parent = dot == std::string::npos ? nullptr : FindField(field.path.substr(0, dot));
    if (parent && parent->present && !parent->present(job_)) continue;
    std::string message = "is required";
    if (!field.only_when.empty()) message += " when " + ConditionText(field);
    std::string hint;
    if (!field.example.empty()) hint = "for example " + field.name() + ": " + field.example;
    if (field.path == "apiVersion") hint = "write apiVersion: longstride.dev/v1alpha1";
    if (field.path == "kind") hint = "write kind: TrainingJob";
    Fail(field.path, message, hint);
  }
}

void Validator::CheckApplicable() {
  for (const Field& field : AllFields()) {
    if (field.only_when.empty() || Applies(field, job_) || !IsSet(field.path)) continue;
    // An object above that does not apply has a fault of its own by now.
    if (faults_.Touches(field.path) || RestsOnFault(field, faults_)) continue;
    const std::string& selector = field.only_when.front().path;
    Fail(field.path, "would be ignored: it applies only when " + ConditionText(field),
         "remove it, or change " + selector + " (now " + EnumName(job_, selector) + ")");
  }
}

void Validator::CheckMetadata() {
  const ObjectMeta& meta = job_.metadata;
  Require(IsLabel(meta.name), "metadata.name", {},
          "\"" + Shorten(meta.name) + "\" is not a valid name", kLabelRule);
  Require(IsLabel(meta.namespace_), "metadata.namespace", {},
          "\"" + Shorten(meta.namespace_) + "\" is not a valid namespace", kLabelRule);
}

void Validator::CheckWorkers() {
  // A pod is named <job>-<group>-<index>-<incarnation>, and its name is a label.
  constexpr size_t kLongestNames = 63 - sizeof("--1023-99999") + 1;
  std::set<std::string> names;
  for (size_t i = 0; i < spec_.workers.size(); ++i) {
    const WorkerGroup& group = spec_.workers[i];
    const std::string at = "spec.workers[" + std::to_string(i) + "]";
    Require(IsLabel(group.name), at + ".name", {},
            "\"" + Shorten(group.name) + "\" is not a valid name", kLabelRule);
    Require(
        job_.metadata.name.size() + group.name.size() <= kLongestNames, at + ".name",
        {"metadata.name"},
        Format("is too long for pod names: it and metadata.name may have %zu characters together",
               kLongestNames),
        "shorten one of them");
    Require(names.insert(group.name).second, at + ".name", {},
            "two worker groups are named \"" + Shorten(group.name) + "\"",
            "give each group its own name");
    Require(group.min_replicas <= group.max_replicas, at + ".minReplicas", {at + ".maxReplicas"},
            Format("minReplicas %ld is more than maxReplicas %ld", group.min_replicas,
                   group.max_replicas));
    Require(group.batch.min <= group.batch.max, at + ".batch.min", {at + ".batch.max"},
            Format("min %ld is more than max %ld", group.batch.min, group.batch.max));
  }
  const auto [fewest, most] = BoundsOf(spec_);
  Require(spec_.replicas >= fewest, "spec.replicas", {"spec.workers"},
          Format("%ld workers are fewer than the %ld that the groups' minReplicas add up to",
                 spec_.replicas, fewest),
          "raise replicas or lower minReplicas");
  Require(spec_.replicas <= most, "spec.replicas", {"spec.workers"},
          Format("%ld workers are more than the %ld that the groups' maxReplicas add up to",
                 spec_.replicas, most),
          "lower replicas or raise maxReplicas");
}

void Validator::CheckRest() {
  if (const auto& target = spec_.evaluation.target) {
    const bool accuracy = target->metric == TargetMetric::kAccuracy;
    const std::string at = "spec.evaluation.target.value";
    Require(!accuracy || target->value <= 1, at, {"spec.evaluation.target.metric"},
            Format("an accuracy of %g is more than 1", target->value),
            target->value <= 100 ? Format("did you mean %g?", target->value / 100) : "");
    Require(target->value > 0, at, {"spec.evaluation.target.metric"},
            accuracy ? "an accuracy of 0 is reached at once" : "a loss of 0 is never reached");
  }
  if (const auto& storage = spec_.checkpoint.storage) {
    Require(IsSubdomain(storage->claim_name), "spec.checkpoint.storage.claimName", {},
            "\"" + Shorten(storage->claim_name) + "\" is not a valid name", kLabelRule);
    const std::string path = "/" + storage->sub_path + "/";
    Require(path.find("/../") == std::string::npos && !storage->sub_path.starts_with('/'),
            "spec.checkpoint.storage.subPath", {}, "must stay inside the volume",
            "a relative path without ..");
  }
  const std::string& manager = spec_.run_policy.managed_by;
  const size_t slash = manager.find('/');
  Require(manager.empty() || (slash != std::string::npos && slash + 1 < manager.size() &&
                              IsSubdomain(manager.substr(0, slash))),
          "spec.runPolicy.managedBy", {}, "\"" + Shorten(manager) + "\" names no controller",
          "a domain, '/' and a path, as longstride.dev/controller");
  const std::string& currency = spec_.cost.currency;
  Require(currency.size() == 3 && std::all_of(currency.begin(), currency.end(),
                                              [](char c) { return c >= 'A' && c <= 'Z'; }),
          "spec.cost.currency", {}, "\"" + Shorten(currency) + "\" is not a currency code",
          "three capital letters, as USD or EUR");
  constexpr int64_t kLeastMemory = 64 << 20;
  Require(spec_.limits.memory_bytes == 0 || spec_.limits.memory_bytes >= kLeastMemory,
          "spec.limits.memory", {},
          Format("%ld bytes are too few for a worker", spec_.limits.memory_bytes),
          "at least 64Mi; mind the unit, as in 2Gi");
}

void ValidateJob(const Node& root, const TrainingJob& job, bool started, Faults& faults) {
  Validator(root, job, started, faults).Run();
}

}  // namespace longstride
