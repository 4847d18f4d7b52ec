#include "runtime/checkpoint/state_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "core/base/format.h"
#include "runtime/checkpoint/checksum.h"
#include "runtime/data/bytes.h"

namespace longstride::checkpoint {
namespace {

using nlohmann::json;

constexpr const char* kFormat = "longstride.dev/checkpoint-v1";
constexpr size_t kReadSize = size_t{1} << 20;

std::string Text(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string Hex(uint64_t value) {
  return Format("%016llx", static_cast<unsigned long long>(value));
}

bool ParseHex(const json& value, uint64_t* out) {
  if (!value.is_string()) return false;
  const std::string& text = value.get_ref<const std::string&>();
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), *out, 16);
  return fault == std::errc() && end == text.data() + text.size() && text.size() == 16;
}

std::string Sum(const json& object) {
  const std::string text = Text(object);
  return Hex(ChecksumOf({reinterpret_cast<const uint8_t*>(text.data()), text.size()}));
}

// A file's name stays inside the checkpoint's folder.
bool IsPlainName(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos;
}

bool ReadRecord(const json& value, FileRecord* record) {
  if (!value.is_object() || !value.contains("name") || !value["name"].is_string() ||
      !value.contains("size") || !value["size"].is_number_unsigned() ||
      !value.contains("checksum")) {
    return false;
  }
  record->name = value["name"].get<std::string>();
  record->size = value["size"].get<uint64_t>();
  return IsPlainName(record->name) && ParseHex(value["checksum"], &record->checksum);
}

}  // namespace

std::string EncodeState(const StateFile& state) {
  json files = json::array();
  for (const FileRecord& file : state.files) {
    files.push_back({{"name", file.name}, {"size", file.size}, {"checksum", Hex(file.checksum)}});
  }
  json object = {
      {"format", kFormat}, {"round", state.round}, {"state", state.state}, {"files", files}};
  object["checksum"] = Sum(object);
  return object.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<StateFile> DecodeState(const std::string& text, const std::string& path) {
  const auto fault = [&](const std::string& found, const std::string& expected) {
    return data::BrokenFile(path, 0, found, expected,
                            "the checkpoint is damaged: use an older one");
  };
  json object = json::parse(text, nullptr, false);
  if (object.is_discarded() || !object.is_object())
    return fault("text that is no JSON object", "what a checkpoint's state.json holds");
  if (object.value("format", json()) != kFormat) {
    return fault("another format or version", std::string("\"format\": \"") + kFormat + "\"");
  }
  const json checksum = object.value("checksum", json());
  object.erase("checksum");
  if (const std::string sum = Sum(object); checksum != sum) {
    return fault("checksum " + Text(checksum), "\"" + sum + "\" as computed from the rest");
  }
  StateFile out;
  if (!object.contains("round") || !object["round"].is_number_integer() ||
      !object.contains("files") || !object["files"].is_array() || !object.contains("state")) {
    return fault("an object without round, files or state", "all three");
  }
  out.round = object["round"].get<int64_t>();
  out.state = std::move(object["state"]);
  for (const json& value : object["files"]) {
    if (!ReadRecord(value, &out.files.emplace_back())) {
      return fault("a file record " + Text(value).substr(0, 80), "name, size and checksum");
    }
  }
  return out;
}

Result<FileRecord> RecordFile(const std::string& path, const std::string& name,
                              std::string* content) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    return DataError(path + ": cannot be opened: " + std::strerror(errno) +
                     "; the checkpoint is incomplete");
  }
  std::vector<uint8_t> buffer(kReadSize);
  Checksum checksum;
  FileRecord record{name, 0, 0};
  while (true) {
    const ssize_t got = read(file, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const int cause = errno;
      close(file);
      return DataError(path + ": cannot be read: " + std::strerror(cause) + "; check the disk");
    }
    if (got == 0) break;
    const std::span<const uint8_t> bytes(buffer.data(), static_cast<size_t>(got));
    checksum.Update(bytes);
    record.size += bytes.size();
    if (content) content->append(bytes.begin(), bytes.end());
  }
  close(file);
  record.checksum = checksum.Value();
  return record;
}

}  // namespace longstride::checkpoint
