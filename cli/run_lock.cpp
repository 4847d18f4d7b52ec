#include "cli/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/base/log.h"

namespace longstride {

Result<std::unique_ptr<RunLock>> RunLock::Take(const RunDirectory& directory) {
  const std::string path = directory.lock();
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return UserError("cannot write " + path + ": " + std::strerror(errno));
  std::unique_ptr<RunLock> lock(new RunLock(fd));
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno == EWOULDBLOCK) {
    return UserError("a run is still going in " + directory.path() +
                     "; wait for its end, or stop it with Ctrl-C or kill");
  }
  LogWarning("run", "cannot lock " + path + ": " + std::strerror(errno) +
                        "; see to it that no second run uses this directory");
  return lock;
}

RunLock::~RunLock() {
  close(fd_);
}

}  // namespace longstride
