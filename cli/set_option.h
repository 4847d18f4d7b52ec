// --set, alike for all commands that read a manifest.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/spec/parse.h"

namespace longstride {

inline void AddSetOption(CLI::App& command, std::vector<std::string>& sets) {
  command
      .add_option(
          "--set", sets,
          "set one field of the manifest, e.g. --set training.batch.initial=64; may be repeated")
      ->type_name("PATH=VALUE")
      ->allow_extra_args(false)  // one value each, so that the manifest may follow
      ->take_all();
}

// kUser if one of them is not PATH=VALUE.
[[nodiscard]] inline Result<std::vector<Override>> ParseOverrides(
    const std::vector<std::string>& sets) {
  std::vector<Override> overrides;
  for (const std::string& text : sets) {
    LONGSTRIDE_ASSIGN_OR_RETURN(Override one, ParseOverride(text));
    overrides.push_back(std::move(one));
  }
  return overrides;
}

}  // namespace longstride
