// state.json of a checkpoint: {"format", "round", "state", "files": [{"name", "size", "checksum"}],
// "checksum"}. The last is that of the rest, so that a changed digit is found, not only broken
// JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/result.h"

namespace longstride::checkpoint {

struct FileRecord {
  std::string name;
  uint64_t size = 0;
  uint64_t checksum = 0;
};

struct StateFile {
  int64_t round = 0;
  nlohmann::json state;
  std::vector<FileRecord> files;
};

[[nodiscard]] std::string EncodeState(const StateFile& state);
// `path` is for messages. kData error for anything that EncodeState did not write.
[[nodiscard]] Result<StateFile> DecodeState(const std::string& text, const std::string& path);

// Size and checksum of a file's content, read (not mapped, so that a failing disk is an error and
// no signal). `name` becomes the record's name; `content`, when given, receives the bytes.
[[nodiscard]] Result<FileRecord> RecordFile(const std::string& path, const std::string& name,
                                            std::string* content = nullptr);

}  // namespace longstride::checkpoint
