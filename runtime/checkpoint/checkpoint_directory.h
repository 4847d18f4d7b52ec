// A run's checkpoints on a file system that all its workers share:
//
//   checkpoints/round-00000042/state.json         the caller's state; size, checksum of every file
//                              model.safetensors  by the lowest rank
//                              rank-000.safetensors ...  inner state, by each rank
//
// Protocol. Every rank calls Write for its files, which go to round-00000042.partial and are
// flushed. After a barrier (the caller's) the lowest rank calls Commit: it checks that all files
// are there, writes state.json last, flushes, and renames the folder. So a folder with a final name
// is complete, whenever anything stops; a crash leaves at most names with a suffix, which Recover
// clears:
//
//   .partial   not committed: removed
//   .removing  no longer kept: removed
//   .replaced  an older commit of the same round: given its name back unless the newer one has it,
//              and until then the round's checkpoint for who reads
//
// Workers that were given up while nobody could reach them may train on, and would write to the
// folder of those who replaced them. So the folder has an owner, a generation, in owner.json, and
// what changes the folder asks before each step that destroys whether a later one has it (a fencing
// token; asking and acting are two steps, so it is no lock).
//
// Errors: kResource when the disk is full or fails (the previous checkpoint stays as it is), kData
// for damaged checkpoints. Calls that change the folder are made by one thread of a process at a
// time.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/protocol/messages.h"
#include "runtime/checkpoint/file_system.h"
#include "runtime/checkpoint/safetensors.h"

namespace longstride::checkpoint {

// A complete checkpoint whose files have been verified.
struct Checkpoint {
  int64_t round = 0;
  std::string path;
  nlohmann::json state;            // as given to Commit
  std::vector<std::string> files;  // their names inside `path`
};

struct LatestCheckpoint {
  std::optional<Checkpoint> checkpoint;  // none when the folder holds none
  std::vector<std::string> warnings;     // one for each newer checkpoint that was broken
};

class CheckpointDirectory {
 public:
  explicit CheckpointDirectory(std::string path,
                               std::shared_ptr<FileSystem> file_system = RealFileSystem());

  // Creates the folder and clears what crashes left. The lowest rank calls it once at the start,
  // before any rank writes.
  [[nodiscard]] Status Recover();

  // Makes the generation the owner of the folder, which is created if need be. kLostPeer when a
  // later one is.
  [[nodiscard]] Status TakeOver(const GenerationId& generation);
  // Makes it nobody's. For who knows that no worker of before is left, and whose coordinator counts
  // generations from the start.
  [[nodiscard]] Status Disown();
  // kLostPeer when a later generation owns the folder. An owner that cannot be read is none.
  [[nodiscard]] Status CheckOwner(const GenerationId& generation) const;
  // From now on Write, Commit, Discard and KeepLast are those of this generation: kLostPeer once a
  // later one owns the folder, with nothing changed from then on.
  void ActFor(const GenerationId& generation) { generation_ = generation; }

  // Writes one file of a round, durable when this returns. On failure nothing of the file stays.
  [[nodiscard]] Status Write(int64_t round, const std::string& file,
                             std::span<const TensorView> tensors);

  // Makes the round's checkpoint of exactly `files`, all written by now. It replaces a checkpoint
  // of the same round, and removes those of later rounds: they belong to a history that was given
  // up.
  [[nodiscard]] Status Commit(int64_t round, const nlohmann::json& state,
                              std::span<const std::string> files);

  // Removes what was written for a round that will not be committed.
  [[nodiscard]] Status Discard(int64_t round);

  // Rounds that have a checkpoint, ascending.
  [[nodiscard]] Result<std::vector<int64_t>> List() const;

  // Reads one, verifying size and checksum of every file.
  [[nodiscard]] Result<Checkpoint> Load(int64_t round) const;

  // The newest that is whole, with a warning (also logged) for each broken one passed over. kData
  // error when there are checkpoints but all are broken.
  [[nodiscard]] Result<LatestCheckpoint> LoadLatest() const;

  // Removes all but the newest `count` (at least 1).
  [[nodiscard]] Status KeepLast(int64_t count);

  [[nodiscard]] const std::string& path() const { return path_; }
  // The folder of a round by its final name, whether it exists or not.
  [[nodiscard]] std::string RoundPath(int64_t round) const;

 private:
  [[nodiscard]] Status WriteState(int64_t round, const nlohmann::json& state,
                                  std::span<const std::string> files);
  // A whole file; its content is on the disk when this returns.
  [[nodiscard]] Status WriteText(const std::string& path, const std::string& text);
  [[nodiscard]] Status Publish(int64_t round);
  // Where a round's checkpoint is: a process may have ended before a newer commit took its name.
  [[nodiscard]] std::string FolderOf(int64_t round) const;
  [[nodiscard]] Status Retire(int64_t round);
  [[nodiscard]] Status MayChange() const;

  std::string path_;
  std::shared_ptr<FileSystem> file_system_;
  std::optional<GenerationId> generation_;
};

}  // namespace longstride::checkpoint
