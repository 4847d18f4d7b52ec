#include "runtime/training/checkpoint_state.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "core/base/format.h"
#include "core/base/log.h"
#include "runtime/checkpoint/safetensors.h"

namespace longstride {
namespace {

using checkpoint::CopyTensor;
using checkpoint::OwnedTensor;
using checkpoint::Safetensors;
using checkpoint::TensorType;

constexpr char kModelFile[] = "model.safetensors";

template <typename T>
constexpr TensorType TypeOf() {
  if constexpr (std::is_same_v<T, float>) return TensorType::kFloat32;
  if constexpr (std::is_same_v<T, double>) return TensorType::kFloat64;
  return TensorType::kInt64;
}

std::string RankFile(int rank) {
  return Format("rank-%03d.safetensors", rank);
}

// Appends the tensors of a flat vector, each named prefix + its own name.
template <typename T>
void Append(const std::string& prefix, const std::vector<TensorPlace>& places,
            std::span<const T> flat, std::vector<OwnedTensor>& tensors) {
  for (const TensorPlace& p : places) {
    tensors.push_back(CopyTensor(prefix + p.name, TypeOf<T>(), p.shape, flat.data() + p.offset,
                                 static_cast<size_t>(p.size) * sizeof(T)));
  }
}

template <typename T>
Status Read(const Safetensors& file, const std::string& prefix,
            const std::vector<TensorPlace>& places, std::span<T> flat) {
  for (const TensorPlace& p : places) {
    LONGSTRIDE_ASSIGN_OR_RETURN(const checkpoint::TensorView view,
                                file.Find(prefix + p.name, TypeOf<T>(), p.shape));
    std::memcpy(flat.data() + p.offset, view.data.data(), view.data.size());
  }
  return {};
}

constexpr char kVelocity[] = "outer.velocity.";

template <typename T>
std::vector<OwnedTensor> CommonTensors(Replica<T>& replica) {
  const FlatState<T>& flat = replica.flat();
  std::vector<OwnedTensor> tensors;
  Append<T>("", flat.parameter_places(), flat.parameters(), tensors);
  Append<T>("", flat.buffer_places(), flat.buffers(), tensors);
  Append<int64_t>("", flat.integer_places(), flat.ReadIntegers(), tensors);
  if (!replica.outer().state().empty()) {
    Append<T>(kVelocity, flat.parameter_places(), replica.outer().state(), tensors);
  }
  return tensors;
}

template <typename T>
std::vector<OwnedTensor> InnerTensors(Replica<T>& replica) {
  InnerOptimizer<T>& inner = replica.inner();
  std::vector<OwnedTensor> tensors;
  const size_t size = static_cast<size_t>(replica.size());
  for (size_t k = 0; k < inner.state_names().size(); ++k) {
    Append<T>(inner.state_names()[k] + ".", replica.flat().parameter_places(),
              inner.state().subspan(k * size, size), tensors);
  }
  const int64_t steps = inner.steps();
  tensors.push_back(CopyTensor("steps", TensorType::kInt64, {1}, &steps, sizeof(steps)));
  return tensors;
}

}  // namespace

template <typename T>
CheckpointSaver<T>::CheckpointSaver(std::string directory, int64_t keep)
    : directory_(std::move(directory)),
      keep_(keep),
      writer_(checkpoint::CheckpointDirectory(directory_)) {}

template <typename T>
Status CheckpointSaver<T>::Recover(const GenerationId& generation) {
  checkpoint::CheckpointDirectory directory(directory_);
  Status taken = directory.TakeOver(generation);
  if (!taken.ok() && taken.error().code == ErrorCode::kLostPeer) return taken;
  const Status recovered = directory.Recover();
  // What crashes left may have filled the disk.
  if (!taken.ok() && recovered.ok()) taken = directory.TakeOver(generation);
  owned_ = taken.ok();
  return recovered.ok() ? taken : recovered;
}

template <typename T>
void CheckpointSaver<T>::AbandonPending() {
  pending_.reset();
  const Status status = writer_.Finish();
  if (!status.ok())
    LogWarning("training", "a checkpoint could not be written: " + status.error().message);
}

template <typename T>
void CheckpointSaver<T>::DiscardPending(int rank) {
  const int64_t round = pending_->round;
  checkpoint::CheckpointDirectory directory(directory_);
  directory.ActFor(pending_->generation);
  AbandonPending();
  if (rank != 0) return;
  const Status removed = directory.Discard(round);
  if (!removed.ok())
    LogWarning("training", "a checkpoint could not be removed: " + removed.error().message);
}

template <typename T>
Status CheckpointSaver<T>::Save(Replica<T>& replica, const TrainingState& state,
                                const RoundSettings& settings, const Generation& generation) {
  if (const Status before = writer_.Finish(); !before.ok())
    LogWarning("training", "a checkpoint could not be written: " + before.error().message);
  const int64_t rank = generation.rank;
  if (rank == 0 && !owned_)
    owned_ = checkpoint::CheckpointDirectory(directory_).TakeOver(generation.id).ok();
  checkpoint::CheckpointRequest files{.round = state.round, .generation = generation.id};
  if (rank == 0) files.files.push_back({kModelFile, CommonTensors(replica)});
  files.files.push_back({RankFile(rank), InnerTensors(replica)});

  checkpoint::CommitRequest commit{.state = ToJson(state),
                                   .files = {kModelFile},
                                   .keep = keep_,
                                   .samples = state.ledger.committed().size()};
  commit.state["lastLocalSteps"] = settings.local_steps;
  commit.state["lastLocalBatches"] = settings.local_batches;
  commit.state["parameters"] = replica.flat().parameter_count();
  for (size_t r = 0; r < generation.members.size(); ++r)
    commit.files.push_back(RankFile(static_cast<int>(r)));
  pending_ = checkpoint::CheckpointRequest{
      .round = state.round, .generation = generation.id, .files = {}, .commit = std::move(commit)};
  return writer_.Submit(std::move(files));
}

template <typename T>
bool CheckpointSaver<T>::Saved() const {
  return pending_ && writer_.Succeeded();
}

template <typename T>
Status CheckpointSaver<T>::CommitPending(int rank) {
  checkpoint::CheckpointRequest commit = std::move(*pending_);
  pending_.reset();
  return rank == 0 ? writer_.Submit(std::move(commit)) : writer_.Finish();
}

template <typename T>
Status CheckpointSaver<T>::Finish() {
  return writer_.Finish();
}

Result<checkpoint::Checkpoint> FindCheckpoint(const std::string& directory) {
  LONGSTRIDE_ASSIGN_OR_RETURN(checkpoint::LatestCheckpoint latest,
                              checkpoint::CheckpointDirectory(directory).LoadLatest());
  if (!latest.checkpoint)
    return DataError(Format("%s: holds no complete checkpoint", directory.c_str()));
  return std::move(*latest.checkpoint);
}

template <typename T>
Status LoadCheckpoint(const checkpoint::Checkpoint& checkpoint, int rank, Replica<T>& replica,
                      TrainingState& state) {
  LONGSTRIDE_ASSIGN_OR_RETURN(state, TrainingStateFromJson(checkpoint.state));
  LONGSTRIDE_ASSIGN_OR_RETURN(const Safetensors model,
                              Safetensors::Open(checkpoint.path + "/" + kModelFile));
  FlatState<T>& flat = replica.flat();
  LONGSTRIDE_RETURN_IF_ERROR(Read<T>(model, "", flat.parameter_places(), flat.parameters()));
  LONGSTRIDE_RETURN_IF_ERROR(Read<T>(model, "", flat.buffer_places(), flat.buffers()));
  std::vector<int64_t> integers = flat.ReadIntegers();
  LONGSTRIDE_RETURN_IF_ERROR(Read<int64_t>(model, "", flat.integer_places(), integers));
  flat.WriteIntegers(integers);
  if (!replica.outer().state().empty()) {
    LONGSTRIDE_RETURN_IF_ERROR(
        Read<T>(model, kVelocity, flat.parameter_places(), replica.outer().state()));
  }

  InnerOptimizer<T>& inner = replica.inner();
  inner.Reset();
  const std::string name = RankFile(rank);
  if (std::ranges::find(checkpoint.files, name) == checkpoint.files.end()) {
    LogWarning("training", Format("%s has no inner optimizer state of rank %d: it starts at zero",
                                  checkpoint.path.c_str(), rank));
    return {};
  }
  LONGSTRIDE_ASSIGN_OR_RETURN(const Safetensors mine,
                              Safetensors::Open(checkpoint.path + "/" + name));
  const size_t size = static_cast<size_t>(replica.size());
  for (size_t k = 0; k < inner.state_names().size(); ++k) {
    LONGSTRIDE_RETURN_IF_ERROR(Read<T>(mine, inner.state_names()[k] + ".", flat.parameter_places(),
                                       inner.state().subspan(k * size, size)));
  }
  int64_t steps = 0;
  const std::vector<TensorPlace> place = {{.name = "steps", .shape = {1}, .offset = 0, .size = 1}};
  LONGSTRIDE_RETURN_IF_ERROR(Read<int64_t>(mine, "", place, std::span(&steps, 1)));
  inner.set_steps(steps);
  return {};
}

template class CheckpointSaver<float>;
template class CheckpointSaver<double>;
template Status LoadCheckpoint(const checkpoint::Checkpoint&, int, Replica<float>&, TrainingState&);
template Status LoadCheckpoint(const checkpoint::Checkpoint&, int, Replica<double>&,
                               TrainingState&);

}  // namespace longstride
