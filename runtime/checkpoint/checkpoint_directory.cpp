#include "runtime/checkpoint/checkpoint_directory.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <set>

#include "core/base/format.h"
#include "core/base/log.h"
#include "runtime/checkpoint/state_file.h"

namespace longstride::checkpoint {
namespace {

constexpr const char* kPrefix = "round-";
constexpr const char* kPartial = ".partial";
constexpr const char* kRemoving = ".removing";
constexpr const char* kReplaced = ".replaced";
constexpr const char* kState = "state.json";
constexpr const char* kOwner = "owner.json";

// The round of a name "round-00000042" + suffix; nothing for other names.
std::optional<int64_t> RoundOf(std::string_view name, std::string_view suffix) {
  if (!name.starts_with(kPrefix) || !name.ends_with(suffix)) return std::nullopt;
  name.remove_prefix(std::string_view(kPrefix).size());
  if (name.size() < 8 + suffix.size()) return std::nullopt;
  name.remove_suffix(suffix.size());
  int64_t round = -1;
  const auto [end, fault] = std::from_chars(name.data(), name.data() + name.size(), round);
  if (fault != std::errc() || end != name.data() + name.size() || round < 0) return std::nullopt;
  return round;
}

std::string Text(const GenerationId& id) {
  return Format("%lld.%lld", static_cast<long long>(id.term), static_cast<long long>(id.counter));
}

// Names in a folder; none when it does not exist.
Result<std::vector<std::string>> Names(const std::string& path) {
  std::vector<std::string> names;
  std::error_code fault;
  std::filesystem::directory_iterator entry(path, fault);
  if (fault == std::errc::no_such_file_or_directory) return names;
  for (; !fault && entry != std::filesystem::directory_iterator(); entry.increment(fault)) {
    names.push_back(entry->path().filename());
  }
  if (fault) return UserError(path + ": cannot list the folder: " + fault.message());
  return names;
}

bool Exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

}  // namespace

CheckpointDirectory::CheckpointDirectory(std::string path, std::shared_ptr<FileSystem> file_system)
    : path_(std::move(path)), file_system_(std::move(file_system)) {}

std::string CheckpointDirectory::RoundPath(int64_t round) const {
  return path_ + "/" + kPrefix + Format("%08lld", static_cast<long long>(round));
}

std::string CheckpointDirectory::FolderOf(int64_t round) const {
  const std::string path = RoundPath(round);
  return Exists(path) || !Exists(path + kReplaced) ? path : path + kReplaced;
}

Status CheckpointDirectory::Recover() {
  LONGSTRIDE_RETURN_IF_ERROR(file_system_->MakeDirectory(path_));
  LONGSTRIDE_ASSIGN_OR_RETURN(const std::vector<std::string> names, Names(path_));
  for (const std::string& name : names) {
    const std::string path = path_ + "/" + name;
    const bool owner = name.starts_with(kOwner) && name != kOwner;
    if (owner || RoundOf(name, kPartial) || RoundOf(name, kRemoving)) {
      LogInfo("checkpoint", path + ": left by an interrupted run, removed");
      LONGSTRIDE_RETURN_IF_ERROR(file_system_->Remove(path));
    } else if (const auto round = RoundOf(name, kReplaced)) {
      LONGSTRIDE_RETURN_IF_ERROR(Exists(RoundPath(*round))
                                     ? file_system_->Remove(path)
                                     : file_system_->Rename(path, RoundPath(*round)));
    }
  }
  return file_system_->SyncDirectory(path_);
}

Status CheckpointDirectory::TakeOver(const GenerationId& generation) {
  LONGSTRIDE_RETURN_IF_ERROR(CheckOwner(generation));
  LONGSTRIDE_RETURN_IF_ERROR(file_system_->MakeDirectory(path_));
  const std::string path = path_ + "/" + kOwner;
  const std::string mine = path + "." + Text(generation);  // others may be about to do the same
  const nlohmann::json json = {{"generation", {generation.term, generation.counter}}};
  LONGSTRIDE_RETURN_IF_ERROR(WriteText(mine, json.dump() + "\n"));
  return file_system_->Rename(mine, path);
}

Status CheckpointDirectory::Disown() {
  return file_system_->Remove(path_ + "/" + kOwner);
}

Status CheckpointDirectory::CheckOwner(const GenerationId& generation) const {
  std::string text;
  if (!RecordFile(path_ + "/" + kOwner, kOwner, &text).ok()) return {};
  GenerationId owner;
  try {
    const nlohmann::json pair = nlohmann::json::parse(text).at("generation");
    owner = {pair.at(0).get<int64_t>(), pair.at(1).get<int64_t>()};
  } catch (const nlohmann::json::exception&) {
    return {};
  }
  if (owner <= generation) return {};
  return LostPeerError(path_ + ": other workers (of generation " + Text(owner) +
                       ") have taken the place of these (of " + Text(generation) +
                       "), which were taken for lost, and own the checkpoints");
}

Status CheckpointDirectory::MayChange() const {
  return generation_ ? CheckOwner(*generation_) : Status();
}

Status CheckpointDirectory::Write(int64_t round, const std::string& file,
                                  std::span<const TensorView> tensors) {
  const std::string folder = RoundPath(round) + kPartial;
  const std::string path = folder + "/" + file;
  LONGSTRIDE_RETURN_IF_ERROR(MayChange());
  const auto write = [&]() -> Status {
    LONGSTRIDE_RETURN_IF_ERROR(file_system_->MakeDirectory(folder));
    LONGSTRIDE_ASSIGN_OR_RETURN(const std::unique_ptr<OutputFile> out, file_system_->Create(path));
    LONGSTRIDE_RETURN_IF_ERROR(WriteSafetensors(
        tensors, [&](std::span<const uint8_t> bytes) { return out->Write(bytes); }));
    LONGSTRIDE_RETURN_IF_ERROR(out->Sync());
    return file_system_->SyncDirectory(folder);
  };
  Status status = write();
  if (!status.ok() && MayChange().ok()) {
    // Gives the space back. That it may fail too adds nothing to what the caller learns.
    [[maybe_unused]] const Status removed = file_system_->Remove(path);
  }
  return status;
}

Status CheckpointDirectory::Commit(int64_t round, const nlohmann::json& state,
                                   std::span<const std::string> files) {
  LONGSTRIDE_RETURN_IF_ERROR(MayChange());
  const std::string folder = RoundPath(round) + kPartial;
  // An earlier attempt at this round may have left files of ranks that are gone.
  LONGSTRIDE_ASSIGN_OR_RETURN(const std::vector<std::string> names, Names(folder));
  for (const std::string& name : names) {
    if (std::find(files.begin(), files.end(), name) == files.end()) {
      LONGSTRIDE_RETURN_IF_ERROR(file_system_->Remove(folder + "/" + name));
    }
  }
  LONGSTRIDE_RETURN_IF_ERROR(WriteState(round, state, files));
  LONGSTRIDE_RETURN_IF_ERROR(Publish(round));
  LONGSTRIDE_ASSIGN_OR_RETURN(const std::vector<int64_t> rounds, List());
  for (int64_t other : rounds) {
    if (other > round) LONGSTRIDE_RETURN_IF_ERROR(Retire(other));
  }
  return {};
}

Status CheckpointDirectory::WriteState(int64_t round, const nlohmann::json& state,
                                       std::span<const std::string> files) {
  const std::string folder = RoundPath(round) + kPartial;
  StateFile content{round, state, {}};
  for (const std::string& name : files) {
    LONGSTRIDE_ASSIGN_OR_RETURN(FileRecord record, RecordFile(folder + "/" + name, name));
    content.files.push_back(std::move(record));
  }
  LONGSTRIDE_RETURN_IF_ERROR(file_system_->MakeDirectory(folder));
  LONGSTRIDE_RETURN_IF_ERROR(WriteText(folder + "/" + kState, EncodeState(content)));
  return file_system_->SyncDirectory(folder);
}

Status CheckpointDirectory::WriteText(const std::string& path, const std::string& text) {
  LONGSTRIDE_ASSIGN_OR_RETURN(const std::unique_ptr<OutputFile> out, file_system_->Create(path));
  LONGSTRIDE_RETURN_IF_ERROR(
      out->Write({reinterpret_cast<const uint8_t*>(text.data()), text.size()}));
  return out->Sync();
}

Status CheckpointDirectory::Publish(int64_t round) {
  LONGSTRIDE_RETURN_IF_ERROR(MayChange());
  const std::string path = RoundPath(round);
  const bool replaces = Exists(path);
  if (replaces) {
    LONGSTRIDE_RETURN_IF_ERROR(file_system_->Remove(path + kReplaced));
    LONGSTRIDE_RETURN_IF_ERROR(file_system_->Rename(path, path + kReplaced));
  }
  LONGSTRIDE_RETURN_IF_ERROR(file_system_->Rename(path + kPartial, path));
  LONGSTRIDE_RETURN_IF_ERROR(file_system_->SyncDirectory(path_));
  if (replaces) return file_system_->Remove(path + kReplaced);
  return {};
}

Status CheckpointDirectory::Discard(int64_t round) {
  LONGSTRIDE_RETURN_IF_ERROR(MayChange());
  return file_system_->Remove(RoundPath(round) + kPartial);
}

// Renamed first, so that a removal cut short leaves no folder with a final name and missing files.
Status CheckpointDirectory::Retire(int64_t round) {
  LONGSTRIDE_RETURN_IF_ERROR(MayChange());
  const std::string path = RoundPath(round);
  LONGSTRIDE_RETURN_IF_ERROR(file_system_->Remove(path + kRemoving));
  const std::string folder = FolderOf(round);
  if (folder == path)  // lest an older commit stands in for it
    LONGSTRIDE_RETURN_IF_ERROR(file_system_->Remove(path + kReplaced));
  LONGSTRIDE_RETURN_IF_ERROR(file_system_->Rename(folder, path + kRemoving));
  LONGSTRIDE_RETURN_IF_ERROR(file_system_->SyncDirectory(path_));
  return file_system_->Remove(path + kRemoving);
}

Result<std::vector<int64_t>> CheckpointDirectory::List() const {
  LONGSTRIDE_ASSIGN_OR_RETURN(const std::vector<std::string> names, Names(path_));
  std::set<int64_t> rounds;
  for (const std::string& name : names) {
    for (const char* suffix : {"", kReplaced}) {
      if (const auto round = RoundOf(name, suffix)) rounds.insert(*round);
    }
  }
  return std::vector<int64_t>(rounds.begin(), rounds.end());
}

Result<Checkpoint> CheckpointDirectory::Load(int64_t round) const {
  const std::string folder = FolderOf(round);
  const std::string state_path = folder + "/" + kState;
  std::string text;
  LONGSTRIDE_RETURN_IF_ERROR(RecordFile(state_path, kState, &text));
  LONGSTRIDE_ASSIGN_OR_RETURN(StateFile content, DecodeState(text, state_path));
  if (content.round != round) {
    return data::BrokenFile(state_path, 0,
                            Format("round %lld", static_cast<long long>(content.round)),
                            Format("%lld as in its folder's name", static_cast<long long>(round)),
                            "do not rename checkpoints");
  }
  Checkpoint checkpoint{round, folder, std::move(content.state), {}};
  for (const FileRecord& wanted : content.files) {
    const std::string path = folder + "/" + wanted.name;
    LONGSTRIDE_ASSIGN_OR_RETURN(const FileRecord found, RecordFile(path, wanted.name));
    if (found.size != wanted.size) {
      return data::BrokenFile(
          path, std::min(found.size, wanted.size),
          Format("%llu bytes", static_cast<unsigned long long>(found.size)),
          Format("%llu as in state.json", static_cast<unsigned long long>(wanted.size)),
          "the file is cut short or too long: use an older checkpoint");
    }
    if (found.checksum != wanted.checksum) {
      return data::BrokenFile(
          path, 0, Format("checksum %016llx", static_cast<unsigned long long>(found.checksum)),
          Format("%016llx as in state.json", static_cast<unsigned long long>(wanted.checksum)),
          "the file is damaged: use an older checkpoint");
    }
    checkpoint.files.push_back(wanted.name);
  }
  return checkpoint;
}

Result<LatestCheckpoint> CheckpointDirectory::LoadLatest() const {
  LONGSTRIDE_ASSIGN_OR_RETURN(std::vector<int64_t> rounds, List());
  LatestCheckpoint latest;
  std::reverse(rounds.begin(), rounds.end());
  for (int64_t round : rounds) {
    auto checkpoint = Load(round);
    if (checkpoint.ok()) {
      latest.checkpoint = std::move(*checkpoint);
      return latest;
    }
    latest.warnings.push_back(Format("checkpoint of round %lld is broken, trying the one before: ",
                                     static_cast<long long>(round)) +
                              checkpoint.error().message);
    LogWarning("checkpoint", latest.warnings.back());
  }
  if (rounds.empty()) return latest;
  return DataError(path_ + ": every checkpoint is broken; the newest: " + latest.warnings.front());
}

Status CheckpointDirectory::KeepLast(int64_t count) {
  LONGSTRIDE_ASSIGN_OR_RETURN(const std::vector<int64_t> rounds, List());
  const auto kept = static_cast<size_t>(std::max<int64_t>(count, 1));
  for (size_t i = 0; i + kept < rounds.size(); ++i) LONGSTRIDE_RETURN_IF_ERROR(Retire(rounds[i]));
  return {};
}

}  // namespace longstride::checkpoint
