// The program longstride-controller as a process of its own, so that what it uses is its alone,
// pointed at a fake API server.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "tests/controller/kube/fake_api_server.h"

namespace longstride {

class ControllerProcess {
 public:
  // Its kubeconfig and its log go into `folder`, which must exist. Returns once the program runs,
  // which says nothing of whether it leads.
  [[nodiscard]] static Result<std::unique_ptr<ControllerProcess>> Start(
      const std::string& program, const std::vector<std::string>& arguments,
      const kube::FakeApiServer& api, const std::filesystem::path& folder);
  // SIGTERM, and SIGKILL 10 s later.
  ~ControllerProcess();

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] uint16_t coordinator_port() const { return coordinator_port_; }

 private:
  ControllerProcess(pid_t pid, uint16_t port) : pid_(pid), coordinator_port_(port) {}
  const pid_t pid_;
  const uint16_t coordinator_port_;
};

}  // namespace longstride
