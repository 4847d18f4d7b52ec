#include "cli/closing_summary.h"

#include "cli/run_cost.h"
#include "cli/text_table.h"
#include "core/base/format.h"

namespace longstride {
namespace {

double Epochs(const RunTotals& totals, const RunFacts& facts) {
  return facts.train_samples > 0
             ? static_cast<double>(totals.cursor) / static_cast<double>(facts.train_samples)
             : 0;
}

double DataParallelBytes(const RunTotals& totals, const RunFacts& facts) {
  return DataParallelBytesPerWorker(totals.steps, totals.workers, facts.parameters);
}

std::string Percent(double share) {
  return Format("%.2f %%", share * 100);
}

}  // namespace

std::string RenderClosingTable(const RunTotals& totals, const RunFacts& facts,
                               const CostSpec& prices, double elapsed_seconds) {
  TextTable table;
  std::string time = FormatSeconds(totals.seconds) + " of training";
  if (totals.evaluation_seconds > 0)
    time += ", " + FormatSeconds(totals.evaluation_seconds) + " of it evaluation";
  if (elapsed_seconds > 0) time += "; " + FormatSeconds(elapsed_seconds) + " in all";
  table.Row({"time", time});
  table.Row({"rounds", FormatCount(totals.rounds)});
  std::string samples = FormatCount(totals.samples);
  if (facts.train_samples > 0) samples += Format(" (%.2f epochs)", Epochs(totals, facts));
  if (totals.discarded > 0) samples += ", " + FormatCount(totals.discarded) + " discarded";
  table.Row({"samples", samples});
  table.Row({"global batch", FormatCount(totals.first_global_batch) + " at first, " +
                                 FormatCount(totals.global_batch) + " at last"});
  if (totals.local_data && totals.noise_variance > 0) {
    std::string skew = Format("%.2f times the noise", totals.skew / totals.noise_variance);
    if (totals.skew_limit > 0)
      skew += "; policy auto takes at most H = " + FormatCount(totals.skew_limit);
    table.Row({"skew", skew});
  }
  table.Row({"training loss", Format("%.4g", totals.loss)});
  if (totals.evaluation_loss)
    table.Row({"evaluation loss", Format("%.4g", *totals.evaluation_loss)});
  if (totals.evaluation_accuracy) {
    table.Row({"accuracy", Percent(*totals.evaluation_accuracy) +
                               (totals.target_reached ? ", target reached" : "")});
  }
  table.Row({"communication", Percent(totals.CommunicationShare()) + " of the workers' time"});
  const double sent = totals.SentBytesPerWorker();
  table.Row({"sent per worker", FormatBytes(sent)});
  const double reference = DataParallelBytes(totals, facts);
  if (reference > 0) {
    table.Row({"data-parallel SGD",
               FormatBytes(reference) + " per worker for the same samples in the same batches: " +
                   FormatCount(totals.steps) + " steps" +
                   Format(" x 2 (%lld - 1) / %lld x 4 B x ", static_cast<long long>(totals.workers),
                          static_cast<long long>(totals.workers)) +
                   FormatCount(facts.parameters) + " parameters"});
    if (sent > 0) table.Row({"saved", Format("%.3g times fewer bytes", reference / sent)});
  }
  if (const auto cost = CostOf(totals, prices)) table.Row({"cost", CostText(*cost, prices)});
  return table.Render();
}

nlohmann::ordered_json ClosingJson(const RunTotals& totals, const RunFacts& facts,
                                   const CostSpec& prices, int64_t last_checkpoint) {
  using Json = nlohmann::ordered_json;
  const double sent = totals.SentBytesPerWorker();
  const double reference = DataParallelBytes(totals, facts);
  Json json;
  json["rounds"] = totals.rounds;
  json["samples"] = totals.samples;
  json["discardedSamples"] = totals.discarded;
  json["epochs"] = facts.train_samples > 0 ? Json(Epochs(totals, facts)) : Json();
  json["workers"] = totals.workers;
  json["seconds"] = totals.seconds;
  json["evaluationSeconds"] = totals.evaluation_seconds;
  json["communicationShare"] = totals.CommunicationShare();
  json["sentBytesPerWorker"] = sent;
  json["dataParallelBytesPerWorker"] = reference > 0 ? Json(reference) : Json();
  json["savedFactor"] = reference > 0 && sent > 0 ? Json(reference / sent) : Json();
  json["loss"] = totals.loss;
  json["evaluationLoss"] = totals.evaluation_loss ? Json(*totals.evaluation_loss) : Json();
  json["evaluationAccuracy"] =
      totals.evaluation_accuracy ? Json(*totals.evaluation_accuracy) : Json();
  json["targetReached"] = totals.target_reached;
  json["globalBatch"] = totals.global_batch;
  json["localSteps"] = totals.local_steps;
  json["noiseVariance"] = totals.noise_variance;
  json["skew"] = totals.skew;
  json["skewLimit"] = totals.skew_limit > 0 ? Json(totals.skew_limit) : Json();
  json["lastCheckpoint"] = last_checkpoint > 0 ? Json(last_checkpoint) : Json();
  json["cost"] = Json();
  if (const auto cost = CostOf(totals, prices)) {
    json["cost"] = {{"currency", prices.currency},
                    {"workerHours", cost->worker_hours},
                    {"gigabytesSent", cost->gigabytes_sent},
                    {"total", cost->total}};
  }
  return json;
}

}  // namespace longstride
