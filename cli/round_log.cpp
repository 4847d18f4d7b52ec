#include "cli/round_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "core/base/format.h"

namespace longstride {
namespace {

// The round after which everything before this line is void, if that is what the line says.
std::optional<int64_t> ParseVoid(const std::string& line) {
  const nlohmann::json json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  const auto entry = json.find("voidAfterRound");
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
  int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.empty()) continue;
    if (const auto after = ParseVoid(line)) {
      if (torn) ++history.torn;
      torn.reset();
      while (!history.rounds.empty() && history.rounds.back().common().round > *after) {
        history.rounds.pop_back();
        ++history.voided;
      }
      continue;
    }
    auto record = ParseRoundRecord(line);
    const int64_t last = history.rounds.empty() ? 0 : history.rounds.back().common().round;
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
  if (round <= last_round_) {
    LONGSTRIDE_RETURN_IF_ERROR(file_->Append(nlohmann::ordered_json{
        {"time", record.unix_seconds},
        {"voidAfterRound", round - 1}}.dump()));
  }
  last_round_ = round;
  return file_->Append(ToJsonLine(record));
}

}  // namespace longstride
