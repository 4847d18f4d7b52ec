// Shared by the tests of core/spec: short manifests and readable faults.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "core/spec/parse.h"

namespace longstride {

inline std::string ReadTextFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The smallest valid manifest; `training` and `rest` are YAML lines to add below spec.training and spec.
inline std::string Minimal(const std::string& training = "", const std::string& rest = "") {
  return "apiVersion: longstride.dev/v1alpha1\n"
         "kind: TrainingJob\n"
         "metadata: {name: test}\n"
         "spec:\n"
         "  data: {path: /data}\n"
         "  training:\n"
         "    maxEpochs: 1\n" +
         training + rest;
}

// All faults, a line each; empty if there are none.
inline std::string FaultsOf(const ParsedJob& parsed) {
  return parsed.ok() ? "" : ToError(parsed.faults).message;
}
inline std::string FaultsOf(const std::string& text) { return FaultsOf(ParseTrainingJob(text, "t")); }

inline TrainingJob MustParse(const std::string& text, const std::vector<Override>& overrides = {}) {
  ParsedJob parsed = ParseTrainingJob(text, "t", overrides);
  EXPECT_TRUE(parsed.ok()) << FaultsOf(parsed);
  return parsed.ok() ? *parsed.job : TrainingJob{};
}

}  // namespace longstride
