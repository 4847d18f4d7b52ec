// The checks of ValidateJob; only validate*.cpp include it. Each file holds those of one part of
// the manifest. A check says nothing about fields that are known to be faulty, nor about what rests
// on them.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "core/spec/fault.h"
#include "core/spec/locate.h"
#include "core/spec/node.h"
#include "core/spec/training_job.h"

namespace longstride {

class Validator {
 public:
  Validator(const Node& root, const TrainingJob& job, bool started, Faults& faults)
      : root_(root), job_(job), spec_(job.spec), started_(started), faults_(faults) {}

  void Run() {
    CheckRequired();
    CheckApplicable();
    CheckMetadata();
    CheckWorkers();
    CheckAggregation();
    CheckModel();
    CheckData();
    CheckPlacement();
    CheckModelFitsData();
    CheckDuration();
    CheckLearningRate();
    CheckLocalSteps();
    CheckBatch();
    CheckNormTest();
    CheckRest();
  }

 private:
  using Paths = std::initializer_list<std::string_view>;

  void Fail(const std::string& path, std::string message, std::string hint = "") {
    const Place place = Locate(root_, path);
    faults_.Add({place.source, place.mark, path, std::move(message), std::move(hint)});
  }
  // Reports at `path` unless `good`, or one of `uses` or `path` itself is known to be faulty.
  void Require(bool good, const std::string& path, Paths uses, std::string message,
               std::string hint = "") {
    if (good || faults_.Touches(path)) return;
    for (const std::string_view used : uses) {
      if (faults_.Touches(used)) return;
    }
    Fail(path, std::move(message), std::move(hint));
  }
  bool IsSet(std::string_view path) const { return Locate(root_, path).node != nullptr; }

  // validate.cpp
  void CheckRequired();
  void CheckApplicable();
  void CheckMetadata();
  void CheckWorkers();
  void CheckRest();

  // validate_data.cpp
  void CheckModel();
  void CheckData();
  void CheckPlacement();
  void CheckModelFitsData();

  // validate_training.cpp
  void CheckAggregation();
  void CheckDuration();
  void CheckLearningRate();
  void CheckLocalSteps();
  void CheckBatch();
  void CheckNormTest();

  const Node& root_;
  const TrainingJob& job_;
  const TrainingJobSpec& spec_;
  const bool started_;
  Faults& faults_;
};

}  // namespace longstride
