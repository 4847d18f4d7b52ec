#include "cli/launcher.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/base/format.h"

namespace longstride {
namespace {

// Everything a child needs between fork and exec, laid out before: there only async-signal-safe
// calls are allowed, because other threads of the parent may have held locks.
struct ChildImage {
  std::vector<std::string> argument_text;
  std::vector<std::string> environment_text;
  std::vector<char*> arguments;
  std::vector<char*> environment;

  explicit ChildImage(const ProcessSpec& spec) {
    argument_text.push_back(spec.program);
    argument_text.insert(argument_text.end(), spec.arguments.begin(), spec.arguments.end());
    for (char** variable = environ; *variable != nullptr; ++variable) {
      const std::string text = *variable;
      const bool replaced =
          std::any_of(spec.environment.begin(), spec.environment.end(),
                      [&](const auto& e) { return text.rfind(e.first + "=", 0) == 0; });
      if (!replaced) environment_text.push_back(text);
    }
    for (const auto& [name, value] : spec.environment)
      environment_text.push_back(name + "=" + value);
    for (std::string& text : argument_text) arguments.push_back(text.data());
    for (std::string& text : environment_text) environment.push_back(text.data());
    arguments.push_back(nullptr);
    environment.push_back(nullptr);
  }
};

[[noreturn]] void BecomeChild(ChildImage& image, int input, int output, int error_pipe,
                              pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // it died before the line above took effect
  for (int signal = 1; signal < NSIG; ++signal) {
    if (signal != SIGKILL && signal != SIGSTOP) ::signal(signal, SIG_DFL);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (dup2(input, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0 &&
      dup2(output, STDERR_FILENO) >= 0) {
    execve(image.arguments[0], image.arguments.data(), image.environment.data());
  }
  const int error = errno;
  [[maybe_unused]] const ssize_t ignored = write(error_pipe, &error, sizeof error);
  _exit(127);
}

class ForkLauncher final : public ProcessLauncher {
 public:
  Result<int> Start(const ProcessSpec& spec) override {
    ChildImage image(spec);
    const int output =
        open(spec.output_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (output < 0)
      return UserError("cannot write " + spec.output_path + ": " + std::strerror(errno));
    const int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int error_pipe[2] = {-1, -1};  // closed by a successful exec; otherwise tells its errno
    const pid_t parent = getpid();
    pid_t pid = -1;
    if (input >= 0 && pipe2(error_pipe, O_CLOEXEC) == 0) pid = fork();
    if (pid == 0) BecomeChild(image, input, output, error_pipe[1], parent);
    int error = pid < 0 ? errno : 0;
    if (error_pipe[1] >= 0) close(error_pipe[1]);
    if (pid > 0 &&
        read(error_pipe[0], &error, sizeof error) == static_cast<ssize_t>(sizeof error)) {
      waitpid(pid, nullptr, 0);
    }
    for (int fd : {output, input, error_pipe[0]}) {
      if (fd >= 0) close(fd);
    }
    if (error != 0) return UserError("cannot start " + spec.program + ": " + std::strerror(error));
    children_.push_back(pid);
    return static_cast<int>(pid);
  }

  std::optional<ProcessExit> Reap() override {
    for (auto child = children_.begin(); child != children_.end(); ++child) {
      siginfo_t ended{};
      if (waitid(P_PID, static_cast<id_t>(*child), &ended, WEXITED | WNOHANG | WNOWAIT) != 0 ||
          ended.si_pid != *child)
        continue;
      // What a launch prefix has left behind of its group, while its number is still the child's.
      kill(-*child, SIGKILL);
      int status = 0;
      if (waitpid(*child, &status, WNOHANG) != *child) continue;
      ProcessExit exit;
      exit.pid = *child;
      exit.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
      exit.exit_code = exit.signal != 0 ? 128 + exit.signal : WEXITSTATUS(status);
      children_.erase(child);
      return exit;
    }
    return std::nullopt;
  }

  void Signal(int pid, int signal) override {
    if (std::find(children_.begin(), children_.end(), pid) == children_.end()) return;
    kill(signal == SIGKILL ? -pid : pid, signal);
  }

 private:
  std::vector<pid_t> children_;
};

}  // namespace

std::string ProcessExit::Text() const {
  if (signal == 0) return Format("exited with code %d", exit_code);
  return Format("was killed by signal %d (%s)", signal, strsignal(signal));
}

std::unique_ptr<ProcessLauncher> MakeForkLauncher() {
  return std::make_unique<ForkLauncher>();
}

}  // namespace longstride
