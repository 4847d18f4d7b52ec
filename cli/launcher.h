// Child processes behind an interface, so that what `longstride run` does about them is tested
// without any.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/result.h"

namespace longstride {

struct ProcessSpec {
  std::string program;                                           // a path; no search
  std::vector<std::string> arguments;                            // without the program's name
  std::vector<std::pair<std::string, std::string>> environment;  // on top of this process's own
  std::string output_path;  // standard output and error are appended to it
};

struct ProcessExit {
  int pid = 0;
  int exit_code = 0;  // 128 + signal when a signal ended it, as shells say it
  int signal = 0;     // 0 = it exited by itself

  // "exited with code 3", "was killed by signal 9 (Killed)".
  [[nodiscard]] std::string Text() const;
};

class ProcessLauncher {
 public:
  virtual ~ProcessLauncher() = default;
  // Returns the process id. kUser if the program cannot be started.
  virtual Result<int> Start(const ProcessSpec& spec) = 0;
  // A child of this launcher that has ended since the last call, if any; never waits.
  virtual std::optional<ProcessExit> Reap() = 0;
  // Sends a signal to a child that has not been reaped; otherwise does nothing.
  virtual void Signal(int pid, int signal) = 0;
};

// Children get a process group of their own (the terminal's Ctrl-C reaches only this process, which
// passes it on in order), standard input from /dev/null, default signal handling, and die by
// SIGKILL when the thread that started them ends, so that none outlives a killed parent. Start all
// from one thread that lives on.
[[nodiscard]] std::unique_ptr<ProcessLauncher> MakeForkLauncher();

}  // namespace longstride
