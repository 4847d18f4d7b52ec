// longstride report: the closing table of a run, from its directory.
#include <cstdio>

#include "cli/closing_summary.h"
#include "cli/commands.h"
#include "cli/run_directory.h"
#include "core/spec/parse.h"

namespace longstride {
namespace {

Status Report(const std::string& path, bool json) {
  const RunDirectory directory(path);
  LONGSTRIDE_RETURN_IF_ERROR(directory.CheckExists());
  LONGSTRIDE_ASSIGN_OR_RETURN(const RoundHistory history, ReadRoundLog(directory.rounds()));
  LONGSTRIDE_ASSIGN_OR_RETURN(const RunFacts facts, ReadFacts(directory.facts()));
  LONGSTRIDE_ASSIGN_OR_RETURN(const TrainingJob job, LoadTrainingJob(directory.job()));
  const CostSpec& prices = job.spec.cost;
  RunTotals totals;
  for (const RoundRecord& record : history.rounds) totals.Add(record);
  if (json) {
    std::printf("%s\n",
                ClosingJson(totals, facts, prices, directory.NewestCheckpoint()).dump(2).c_str());
  } else if (totals.rounds == 0) {
    std::printf("no round is committed yet\n");
  } else {
    std::printf("%s", RenderClosingTable(totals, facts, prices, 0).c_str());
  }
  return Status();
}

}  // namespace

void AddReport(CLI::App& app, Action& chosen) {
  CLI::App* command = app.add_subcommand("report", "print the closing table of a run");
  struct Arguments {
    std::string directory;
    bool json = false;
  };
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("RUN_DIR", arguments->directory, "run directory")->required()->type_name("");
  command->add_flag("--json", arguments->json, "print it as JSON");
  command->footer(
      "A run that is still going can be looked at, too.\n\n"
      "Example:\n  longstride report runs/fashion-mnist-20261124-080000 --json");
  command->callback([arguments, &chosen] {
    chosen = [arguments] { return Report(arguments->directory, arguments->json); };
  });
}

}  // namespace longstride
