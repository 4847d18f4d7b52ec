// The subcommands of `longstride`. Each Add... declares one with its flags and help, and sets
// `chosen` when the command line names it. An action that has already told the user all returns an
// error without message.
#pragma once

#include "cli/dispatch.h"

namespace longstride {

void AddRun(CLI::App& app, Action& chosen);
void AddPlan(CLI::App& app, Action& chosen);
void AddValidate(CLI::App& app, Action& chosen);
void AddExplain(CLI::App& app, Action& chosen);
void AddCrd(CLI::App& app, Action& chosen);
void AddReport(CLI::App& app, Action& chosen);
void AddScale(CLI::App& app, Action& chosen);
void AddVersion(CLI::App& app, Action& chosen);

}  // namespace longstride
