// Wakes a thread that polls descriptors.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

namespace longstride::kube {

// Readable from Ring() to Quiet(). Thread-safe.
class Bell {
 public:
  Bell() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  ~Bell() { close(fd_); }
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;
  void Ring() {
    const uint64_t one = 1;
    (void)!write(fd_, &one, sizeof(one));
  }
  void Quiet() {
    uint64_t count = 0;
    (void)!read(fd_, &count, sizeof(count));
  }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  const int fd_;
};

}  // namespace longstride::kube
