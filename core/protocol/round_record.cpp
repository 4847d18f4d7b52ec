#include "core/protocol/round_record.h"

#include "core/protocol/fields.h"

namespace longstride {
namespace {

// One element of `workers`: who, and its own part of the report.
struct RecordedWorker {
  WorkerId worker;
  RoundReport report;
};

void Fields(auto& v, Message<RecordedWorker> auto& m) {
  longstride::Fields(v, m.worker);
  OwnFields(v, m.report);
}

}  // namespace

std::string ToJsonLine(const RoundRecord& record) {
  JsonWriter writer;
  writer.Number("time", record.unix_seconds, 0, kMaxSeconds);
  CommonFields(writer, record.common());
  std::vector<RecordedWorker> workers;
  for (size_t r = 0; r < record.reports.size(); ++r) {
    workers.push_back({record.workers[r], record.reports[r]});
  }
  writer.List("workers", workers, kMaxMembers);
  return DumpJson(writer.json());
}

Result<RoundRecord> ParseRoundRecord(std::string_view text) {
  LONGSTRIDE_ASSIGN_OR_RETURN(const nlohmann::json json, ParseBoundedJson(text, kMaxMessageBytes));
  JsonReader reader(json);
  RoundRecord record;
  RoundReport common;
  std::vector<RecordedWorker> workers;
  if (!reader.fault()) {
    reader.Number("time", record.unix_seconds, 0, 1e12);
    CommonFields(reader, common);
    reader.List("workers", workers, kMaxMembers);
  }
  if (reader.fault()) return reader.error();
  if (workers.empty()) return UserError("workers: is empty");
  // The shared part is stored once; put it back into every member's report.
  for (size_t r = 0; r < workers.size(); ++r) {
    if (r > 0 && workers[r].report.rank <= workers[r - 1].report.rank)
      return UserError("workers: not in rank order");
    RoundReport report = common;
    const RoundReport& own = workers[r].report;
    report.rank = own.rank;
    report.local_batch = own.local_batch;
    report.micro_batch_cap = own.micro_batch_cap;
    report.local_samples = own.local_samples;
    report.delta_finite = own.delta_finite;
    report.first_step_time = own.first_step_time;
    report.last_step_time = own.last_step_time;
    report.seconds = own.seconds;
    report.wall_seconds = own.wall_seconds;
    report.step_times = own.step_times;
    report.bytes_sent = own.bytes_sent;
    report.bytes_received = own.bytes_received;
    report.memory_bytes = own.memory_bytes;
    report.checkpoint = own.checkpoint;
    record.workers.push_back(workers[r].worker);
    record.reports.push_back(std::move(report));
  }
  return record;
}

double DataParallelBytesPerWorker(int64_t steps, int64_t workers, int64_t parameters) {
  if (workers <= 0) return 0;
  const double m = static_cast<double>(workers);
  return static_cast<double>(steps) * 2 * (m - 1) / m * 4 * static_cast<double>(parameters);
}

}  // namespace longstride
