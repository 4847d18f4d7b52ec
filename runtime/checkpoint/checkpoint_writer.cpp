#include "runtime/checkpoint/checkpoint_writer.h"

#include <new>
#include <utility>

#include "core/base/clock.h"

namespace longstride::checkpoint {

CheckpointWriter::CheckpointWriter(CheckpointDirectory directory)
    : directory_(std::move(directory)), thread_([this] { Loop(); }) {}

CheckpointWriter::~CheckpointWriter() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Status CheckpointWriter::Submit(CheckpointRequest request) {
  LONGSTRIDE_RETURN_IF_ERROR(Finish());
  {
    const std::lock_guard lock(mutex_);
    request_ = std::move(request);
    busy_ = true;
  }
  changed_.notify_all();
  return {};
}

bool CheckpointWriter::Idle(Duration limit) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, limit, [this] { return !busy_; });
}

bool CheckpointWriter::Succeeded() const {
  const std::lock_guard lock(mutex_);
  return !busy_ && outcome_.ok();
}

Status CheckpointWriter::Finish() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !busy_; });
  return std::exchange(outcome_, Status());
}

std::optional<CommittedCheckpoint> CheckpointWriter::TakeCommitted() {
  const std::lock_guard lock(mutex_);
  return std::exchange(committed_, std::nullopt);
}

Status CheckpointWriter::Execute(const CheckpointRequest& request) {
  try {
    directory_.ActFor(request.generation);
    for (const CheckpointFile& file : request.files) {
      std::vector<TensorView> views;
      for (const OwnedTensor& tensor : file.tensors) views.push_back(tensor.View());
      LONGSTRIDE_RETURN_IF_ERROR(directory_.Write(request.round, file.name, views));
    }
    if (!request.commit) return {};
    const Status committed =
        directory_.Commit(request.round, request.commit->state, request.commit->files);
    if (!committed.ok()) {
      // Gives the space back. That it may fail too adds nothing to what the caller learns.
      [[maybe_unused]] const Status removed = directory_.Discard(request.round);
      return committed;
    }
    {
      const std::lock_guard lock(mutex_);
      committed_ = {request.round, request.commit->samples, SystemClock().UnixSeconds()};
    }
    if (request.commit->keep > 0) return directory_.KeepLast(request.commit->keep);
    return {};
  } catch (const std::bad_alloc&) {
    return ResourceError(directory_.path() + ": no memory to write a checkpoint");
  }
}

void CheckpointWriter::Loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || request_; });
    if (!request_) return;  // a request submitted before the stop is still carried out
    {
      const CheckpointRequest request = std::move(*request_);
      request_.reset();
      lock.unlock();
      Status outcome = Execute(request);
      // What the folder's next owner has cleared away is missing now: that it has one says more.
      if (!outcome.ok()) {
        if (Status owner = directory_.CheckOwner(request.generation); !owner.ok())
          outcome = std::move(owner);
      }
      lock.lock();
      outcome_ = std::move(outcome);
    }
    busy_ = false;
    changed_.notify_all();
  }
}

}  // namespace longstride::checkpoint
