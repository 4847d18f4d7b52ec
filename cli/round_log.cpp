#include "cli/round_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "core/base/format.h"

namespace longstride {
namespace {

constexpr const char* kVoid = "voidAfterRound";
constexpr const char* kUnreported = "unreportedThroughRound";

// The round that a line of this kind names, if it is one.
std::optional<int64_t> ParseMark(const std::string& line, const char* kind) {
  const nlohmann::json json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  const auto entry = json.find(kind);
  if (entry == json.end() || !entry->is_number_integer()) return std::nullopt;
  return entry->get<int64_t>();
}

Error SystemError(const std::string& doing, const std::string& path) {
  return ResourceError(doing + " " + path + ": " + std::strerror(errno));
}

}  // namespace

Result<RoundHistory> ParseRoundLog(const std::string& text, const std::string& source) {
  RoundHistory history;
  std::optional<Error>
      torn;  // a line that does not parse, until we know whether a crash explains it
  std::istringstream in(text);
  int64_t number = 0, unreported = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.empty()) continue;
    if (const auto through = ParseMark(line, kUnreported)) {
      unreported = *through;
      continue;
    }
    if (const auto after = ParseMark(line, kVoid)) {
      if (torn) ++history.torn;
      torn.reset();
      while (!history.rounds.empty() && history.rounds.back().common().round > *after) {
        history.rounds.pop_back();
        ++history.voided;
      }
      continue;
    }
    auto record = ParseRoundRecord(line);
    const int64_t told = history.rounds.empty() ? 0 : history.rounds.back().common().round;
    const int64_t last = std::max(told, unreported);
    unreported = 0;
    if (!record.ok()) {
      if (torn) return *torn;
      torn = DataError(
          Format("%s:%lld: not a round record: ", source.c_str(), static_cast<long long>(number)) +
          record.error().message);
      continue;
    }
    if (last > 0 && record->common().round != last + 1) {
      return DataError(Format("%s:%lld: round %lld follows round %lld; a line is missing",
                              source.c_str(), static_cast<long long>(number),
                              static_cast<long long>(record->common().round),
                              static_cast<long long>(last)));
    }
    if (torn) ++history.torn;
    torn.reset();
    history.rounds.push_back(std::move(*record));
  }
  if (torn) ++history.torn;
  return history;
}

Result<RoundHistory> ReadRoundLog(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in)
    return UserError(path + ": cannot be read (" + std::strerror(errno) +
                     "); is this a run directory?");
  std::ostringstream text;
  text << in.rdbuf();
  return ParseRoundLog(text.str(), path);
}

Result<std::unique_ptr<LineFile>> LineFile::OpenForAppend(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return SystemError("cannot open", path);
  std::unique_ptr<LineFile> file(new LineFile(fd, path));
  const off_t size = lseek(fd, 0, SEEK_END);
  char last = '\n';
  if (size > 0 && pread(fd, &last, 1, size - 1) != 1) return SystemError("cannot read", path);
  if (last != '\n') LONGSTRIDE_RETURN_IF_ERROR(file->Append(""));
  return file;
}

LineFile::~LineFile() {
  close(fd_);
}

Status LineFile::Append(const std::string& line) {
  const std::string text = line + "\n";
  size_t written = 0;
  while (written < text.size()) {
    const ssize_t n = write(fd_, text.data() + written, text.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SystemError("cannot write", path_);
    written += static_cast<size_t>(n);
  }
  return Status();
}

Status RoundLogWriter::Append(const RoundRecord& record) {
  const int64_t round = record.common().round;
  const bool again = round <= last_round_, skipped = last_round_ > 0 && round > last_round_ + 1;
  if (again || skipped) {
    const nlohmann::ordered_json mark{{"time", record.unix_seconds},
                                      {again ? kVoid : kUnreported, round - 1}};
    LONGSTRIDE_RETURN_IF_ERROR(file_->Append(mark.dump()));
  }
  last_round_ = round;
  return file_->Append(ToJsonLine(record));
}

}  // namespace longstride
