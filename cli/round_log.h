// rounds.jsonl: one RoundRecord a line, append-only. A resumed run starts at its last checkpoint
// and runs later rounds again; before the first of them it appends
//   {"time": 1764000000.5, "voidAfterRound": 120}
// which says that all records above it with a greater round are void. Rounds that were trained and
// saved while the coordinator could not be told of them are named by
//   {"time": 1764000000.5, "unreportedThroughRound": 20} Nothing is ever rewritten. A
// line torn by a crash is left where it is; it can only be the last, or stand right before a later
// start's lines.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/protocol/round_record.h"

namespace longstride {

struct RoundHistory {
  std::vector<RoundRecord> rounds;  // those that hold, in order
  int64_t voided = 0;               // records that do not
  int64_t torn = 0;                 // lines cut short by a crash
};

// kUser if the file cannot be opened; kData, with its line number, if a line within it is broken.
[[nodiscard]] Result<RoundHistory> ReadRoundLog(const std::string& path);

// The text of the file, as ReadRoundLog takes it; `source` names it in errors.
[[nodiscard]] Result<RoundHistory> ParseRoundLog(const std::string& text,
                                                 const std::string& source);

// Appends lines to a file and hands each to the kernel before it returns. Not thread-safe.
class LineFile {
 public:
  // Creates it if need be; ends a torn last line.
  [[nodiscard]] static Result<std::unique_ptr<LineFile>> OpenForAppend(const std::string& path);
  ~LineFile();
  // kResource when the disk is full or fails.
  Status Append(const std::string& line);

 private:
  LineFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  int fd_;
  std::string path_;
};

class RoundLogWriter {
 public:
  // `last_round`: of the records that hold so far; 0 = none.
  RoundLogWriter(std::unique_ptr<LineFile> file, int64_t last_round)
      : file_(std::move(file)), last_round_(last_round) {}
  // Voids what stands at or after the record's round first.
  Status Append(const RoundRecord& record);

 private:
  std::unique_ptr<LineFile> file_;
  int64_t last_round_;
};

}  // namespace longstride
