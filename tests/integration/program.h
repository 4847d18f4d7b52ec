// The built programs as child processes of a test, each with a time limit instead of patience.
#pragma once

#include <poll.h>
#include <signal.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "cli/launcher.h"
#include "cli/run_directory.h"

namespace longstride {

// Asks every 20 ms until `condition` holds; false after `seconds`.
inline bool WaitFor(const std::function<bool()>& condition, double seconds = 90) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    poll(nullptr, 0, 20);
  }
  return true;
}

// `longstride` with the worker of the same build. Killed with the object.
class Longstride {
 public:
  // What it prints goes to `output`.
  Longstride(std::vector<std::string> arguments, const std::string& output) : output_(output) {
    const auto pid = launcher_->Start({LONGSTRIDE_PROGRAM,
                                       std::move(arguments),
                                       {{"LONGSTRIDE_WORKER", LONGSTRIDE_WORKER_PROGRAM}},
                                       output});
    pid_ = pid.ok() ? pid.value() : -1;
  }
  ~Longstride() {
    if (exit_code_ >= 0) return;
    Signal(SIGKILL);
    Wait();
  }

  void Signal(int signal) { launcher_->Signal(pid_, signal); }
  // Its exit code; -1 if it does not end in time.
  int Wait(double seconds = 90) {
    WaitFor(
        [&] {
          if (const auto exit = launcher_->Reap()) exit_code_ = exit->exit_code;
          return exit_code_ >= 0;
        },
        seconds);
    return exit_code_;
  }
  [[nodiscard]] bool running() {
    if (const auto exit = launcher_->Reap()) exit_code_ = exit->exit_code;
    return exit_code_ < 0;
  }
  // Process ids of its workers.
  [[nodiscard]] std::vector<int> Workers() const {
    const std::string pid = std::to_string(pid_);
    std::ifstream in("/proc/" + pid + "/task/" + pid + "/children");
    std::vector<int> pids;
    for (int child = 0; in >> child;) pids.push_back(child);
    return pids;
  }
  [[nodiscard]] std::string Output() const { return TailOf(output_, 1000); }

 private:
  std::unique_ptr<ProcessLauncher> launcher_ = MakeForkLauncher();
  std::string output_;
  int pid_ = -1;
  int exit_code_ = -1;
};

// The value of a variable that a process was started with; empty if there is none.
inline std::string EnvironmentOf(int pid, const std::string& name) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/environ");
  for (std::string entry; std::getline(in, entry, '\0');) {
    if (entry.starts_with(name + "=")) return entry.substr(name.size() + 1);
  }
  return "";
}

// Whether a process is there and no zombie.
inline bool IsAlive(int pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  if (!std::getline(in, text)) return false;
  const size_t end = text.rfind(") ");
  return end != std::string::npos && text[end + 2] != 'Z' && text[end + 2] != 'X';
}

}  // namespace longstride
