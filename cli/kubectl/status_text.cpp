#include "cli/kubectl/status_text.h"

#include <algorithm>

#include "cli/kubectl/json_reads.h"
#include "cli/text_table.h"
#include "core/base/format.h"
#include "core/base/timestamps.h"

namespace longstride {
namespace {

using nlohmann::json;

constexpr size_t kShownEvents = 5;

const json& ConditionOf(const json& job, const std::string& type) {
  static const json kNone;
  const json& conditions = JsonAt(job, "/status/conditions");
  if (!conditions.is_array()) return kNone;
  for (const json& condition : conditions) {
    if (TextAt(condition, "/type") == type) return condition;
  }
  return kNone;
}

std::string Ago(const std::string& time, double now) {
  const double then = ParseTime(time).value_or(0);
  return then == 0 ? "" : FormatSeconds(std::max(0.0, now - then)) + " ago";
}

std::string Ahead(const std::string& time, double now) {
  const double then = ParseTime(time).value_or(0);
  if (then == 0) return "";
  return then > now ? "in " + FormatSeconds(then - now) : "now";
}

std::string Percent(double percent) {
  return Format("%.4g %%", percent);
}

std::string State(const json& job) {
  const std::string state = TextAt(job, "/status/state");
  return state.empty() ? "not looked at yet" : state;
}

void Add(TextTable& table, const std::string& label, const std::string& text) {
  if (!text.empty()) table.Row({label, text});
}

std::string Append(std::string text, const std::string& more) {
  if (more.empty()) return text;
  return text.empty() ? more : text + ", " + more;
}

std::string Workers(const json& job) {
  std::string text = TextAt(job, "/status/ready");
  if (!text.empty()) text += " ready";
  const int64_t restarts = CountAt(job, "/status/restarts");
  if (restarts > 0) text = Append(text, Format("%lld replaced", static_cast<long long>(restarts)));
  return text;
}

std::string Progress(const json& job) {
  std::string text;
  if (const int64_t round = CountAt(job, "/status/round")) text = "round " + FormatCount(round);
  if (const int64_t samples = CountAt(job, "/status/samples"))
    text = Append(text, FormatCount(samples) + " samples");
  if (const auto epoch = NumberAt(job, "/status/epoch"))
    text = Append(text, Format("epoch %.3g", *epoch));
  return text;
}

std::string Learning(const json& job) {
  std::string text;
  if (const auto loss = NumberAt(job, "/status/loss")) text = Format("loss %.4g", *loss);
  if (const auto accuracy = NumberAt(job, "/status/accuracy"))
    text = Append(text, "accuracy " + Percent(100 * *accuracy));
  return text;
}

std::string Batch(const json& job) {
  const int64_t batch = CountAt(job, "/status/globalBatch");
  if (batch == 0) return "";
  return FormatCount(batch) + " samples a step, " +
         FormatCount(CountAt(job, "/status/localSteps")) + " local steps a round";
}

std::string Communication(const json& job) {
  std::string text;
  if (const auto percent = NumberAt(job, "/status/communicationPercent"))
    text = Percent(*percent) + " of the workers' time";
  if (const auto bytes = NumberAt(job, "/status/bytesSent"))
    text = Append(text, FormatBytes(*bytes) + " sent");
  return text;
}

std::string Checkpoint(const json& job, double now) {
  if (!JsonAt(job, "/status/lastCheckpoint").is_object()) return "none yet";
  return Append("after round " + FormatCount(CountAt(job, "/status/lastCheckpoint/round")),
                Ago(TextAt(job, "/status/lastCheckpoint/time"), now));
}

std::string LastFailure(const json& job, double now) {
  if (!JsonAt(job, "/status/lastFailure").is_object()) return "";
  std::string text =
      TextAt(job, "/status/lastFailure/worker") + " " + TextAt(job, "/status/lastFailure/reason");
  text = Append(text, Ago(TextAt(job, "/status/lastFailure/time"), now));
  const std::string message = TextAt(job, "/status/lastFailure/message");
  return message.empty() ? text : text + ": " + message;
}

std::string Groups(const json& job) {
  const json& groups = JsonAt(job, "/status/groups");
  if (!groups.is_array() || groups.empty()) return "";
  TextTable table;
  table.Row({"GROUP", "READY", "SHARE", "STEP", "PER SAMPLE", "MICRO-BATCH"});
  for (const json& group : groups) {
    const auto share = NumberAt(group, "/profile/share");
    std::vector<std::string> row{
        TextAt(group, "/name"),
        Format("%lld/%lld", static_cast<long long>(CountAt(group, "/ready")),
               static_cast<long long>(CountAt(group, "/replicas")))};
    if (share) {
      row.insert(row.end(), {Percent(100 * *share),
                             FormatSeconds(NumberAt(group, "/profile/alphaSeconds").value_or(0)),
                             FormatSeconds(NumberAt(group, "/profile/betaSeconds").value_or(0)),
                             FormatCount(CountAt(group, "/profile/microBatchCap"))});
    }
    table.Row(std::move(row));
  }
  return "\n" + table.Render();
}

std::string EventTime(const json& event) {
  for (const char* at : {"/lastTimestamp", "/series/lastObservedTime", "/eventTime",
                         "/metadata/creationTimestamp"}) {
    if (std::string time = TextAt(event, at); !time.empty()) return time;
  }
  return "";
}

std::string Events(std::vector<json> events, double now) {
  if (events.empty()) return "";
  std::stable_sort(events.begin(), events.end(), [](const json& a, const json& b) {
    return ParseTime(EventTime(a)) < ParseTime(EventTime(b));
  });
  if (events.size() > kShownEvents) {
    events.erase(events.begin(), events.end() - static_cast<std::ptrdiff_t>(kShownEvents));
  }
  TextTable table;
  table.Row({"EVENT", "WHEN", ""});
  for (const json& event : events) {
    // events.k8s.io calls it note.
    const std::string note = TextAt(event, "/note");
    table.Row({TextAt(event, "/reason"), Ago(EventTime(event), now),
               note.empty() ? TextAt(event, "/message") : note});
  }
  return "\n" + table.Render();
}

// What the state rests on: a condition that holds or, of a job that should run, why it does not.
std::string Why(const json& job) {
  for (const char* end : {"Failed", "Complete", "Suspended"}) {
    if (Holds(job, end)) return ConditionText(job, end);
  }
  const std::string again = Holds(job, "Restarting") ? ConditionText(job, "Restarting") : "";
  const std::string running = ConditionText(job, "Running");
  if (Holds(job, "Running")) return again.empty() ? running : again;
  return again.empty() || running.empty() ? again + running : again + "; " + running;
}

}  // namespace

bool Holds(const json& job, const std::string& type) {
  return TextAt(ConditionOf(job, type), "/status") == "True";
}

std::string ConditionText(const json& job, const std::string& type) {
  const json& condition = ConditionOf(job, type);
  const std::string reason = TextAt(condition, "/reason"), message = TextAt(condition, "/message");
  return message.empty() ? reason : reason + ": " + message;
}

std::string RenderJob(const json& job, const std::vector<json>& events, double now) {
  TextTable table;
  table.Row({"job", TextAt(job, "/metadata/name") + " in " + TextAt(job, "/metadata/namespace")});
  const std::string why = Why(job);
  Add(table, "state", State(job) + (why.empty() ? "" : " (" + why + ")"));
  Add(table, "next attempt", Ahead(TextAt(job, "/status/retryTime"), now));
  Add(table, "workers", Workers(job));
  Add(table, "progress", Progress(job));
  Add(table, "learning", Learning(job));
  Add(table, "batch", Batch(job));
  Add(table, "communication", Communication(job));
  Add(table, "checkpoint", Checkpoint(job, now));
  if (const int64_t discarded = CountAt(job, "/status/discardedSamples"))
    Add(table, "discarded", FormatCount(discarded) + " samples, as no checkpoint held them");
  Add(table, "last failure", LastFailure(job, now));
  Add(table, "started", Ago(TextAt(job, "/status/startTime"), now));
  Add(table, "ended", Ago(TextAt(job, "/status/completionTime"), now));
  return table.Render() + Groups(job) + Events(events, now);
}

std::string RenderJobs(const std::vector<json>& jobs, double now) {
  TextTable table;
  table.Row({"NAME", "STATE", "READY", "PROGRESS", "LEARNING", "CREATED"});
  for (const json& job : jobs) {
    table.Row({TextAt(job, "/metadata/name"), State(job), TextAt(job, "/status/ready"),
               Progress(job), Learning(job), Ago(TextAt(job, "/metadata/creationTimestamp"), now)});
  }
  return table.Render();
}

std::string ProgressLine(const json& job) {
  std::string text = State(job);
  for (const std::string& part : {Progress(job), Learning(job), Workers(job)}) {
    text = Append(text, part);
  }
  return text;
}

}  // namespace longstride
