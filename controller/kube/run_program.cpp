#include "controller/kube/run_program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

extern char** environ;

namespace longstride::kube {
namespace {

constexpr size_t kMaxOutputBytes = size_t{1} << 20;
constexpr size_t kMaxErrorBytes = 4096;
// How often a stop token is looked at: poll cannot wait for one.
constexpr int kPollMilliseconds = 20;

class Pipe {
 public:
  Pipe() {
    if (pipe2(ends_.data(), O_CLOEXEC) != 0) ends_ = {-1, -1};
  }
  ~Pipe() {
    CloseReader();
    CloseWriter();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  [[nodiscard]] int reader() const { return ends_[0]; }
  [[nodiscard]] int writer() const { return ends_[1]; }
  void CloseReader() { Close(ends_[0]); }
  void CloseWriter() { Close(ends_[1]); }

  // Appends what can be read now; closes the reader at the end.
  void Drain(std::string& text) {
    std::array<char, 4096> buffer;
    const ssize_t n = read(reader(), buffer.data(), buffer.size());
    if (n > 0) text.append(buffer.data(), static_cast<size_t>(n));
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) CloseReader();
  }

 private:
  static void Close(int& fd) {
    if (fd >= 0) close(fd);
    fd = -1;
  }
  std::array<int, 2> ends_{-1, -1};
};

std::vector<std::string> Environment(const Program& program) {
  std::vector<std::string> env;
  for (char** entry = environ; *entry; ++entry) {
    const std::string text = *entry;
    bool replaced = false;
    for (const auto& [name, value] : program.env) replaced |= text.starts_with(name + "=");
    if (!replaced) env.push_back(text);
  }
  for (const auto& [name, value] : program.env) env.push_back(name + "=" + value);
  return env;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& s : strings) pointers.push_back(s.data());
  pointers.push_back(nullptr);
  return pointers;
}

// A started program; killed and reaped when we are done with it before it is.
class Child {
 public:
  static Result<pid_t> Spawn(const Program& program, const Pipe& output, const Pipe& errors) {
    std::vector<std::string> args = program.args;
    args.insert(args.begin(), program.command);
    std::vector<std::string> env = Environment(program);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output.writer(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, errors.writer(), STDERR_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    // What we ignore or block is not the program's business.
    posix_spawnattr_t attributes;
    sigset_t signals;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes, &signals);
    sigaddset(&signals, SIGPIPE);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    pid_t pid = -1;
    const int failed = posix_spawnp(&pid, program.command.c_str(), &actions, &attributes,
                                    Pointers(args).data(), Pointers(env).data());
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) {
      return UserError(program.command + ": cannot be run: " + std::strerror(failed));
    }
    return pid;
  }

  explicit Child(pid_t pid) : pid_(pid) {}
  ~Child() {
    if (pid_ < 0) return;
    kill(pid_, SIGKILL);
    (void)Wait(0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // True once it has ended; `flags` as waitpid's.
  bool Wait(int flags) {
    int status = 0;
    const pid_t ended = waitpid(pid_, &status, flags);
    if (ended == 0 || (ended < 0 && errno == EINTR)) return false;
    exit_code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    pid_ = -1;
    return true;
  }
  [[nodiscard]] int exit_code() const { return exit_code_; }

 private:
  pid_t pid_;
  int exit_code_ = 0;
};

}  // namespace

Result<ProgramResult> RunProgram(const Program& program, Duration deadline,
                                 const std::stop_token& stop) {
  Pipe output;
  Pipe errors;
  if (output.reader() < 0 || errors.reader() < 0) return ResourceError("no pipe to run a program");
  LONGSTRIDE_ASSIGN_OR_RETURN(const pid_t pid, Child::Spawn(program, output, errors));
  Child child(pid);
  output.CloseWriter();
  errors.CloseWriter();

  const SystemClock clock;
  const TimePoint until = clock.Now() + deadline;
  const auto within_limits = [&]() -> Status {
    if (stop.stop_requested()) return InterruptedError(program.command + ": stopped");
    if (clock.Now() < until) return {};
    return TransientError(program.command + ": did not end within its deadline");
  };
  ProgramResult result;
  bool ended = false;
  // A grandchild may keep the pipes open for ever: the program's own end is enough.
  while (!ended) {
    ended = child.Wait(WNOHANG);
    bool more = true;
    for (int timeout = ended ? 0 : kPollMilliseconds; more; timeout = 0) {
      LONGSTRIDE_RETURN_IF_ERROR(within_limits());  // also of one that never stops printing
      std::array<pollfd, 2> ready{pollfd{output.reader(), POLLIN, 0},
                                  pollfd{errors.reader(), POLLIN, 0}};
      more = poll(ready.data(), ready.size(), timeout) > 0;
      if (ready[0].revents != 0) output.Drain(result.output);
      if (ready[1].revents != 0) errors.Drain(result.errors);
      if (result.output.size() > kMaxOutputBytes) {
        return UserError(program.command + ": printed more than 1 MiB");
      }
      if (result.errors.size() > kMaxErrorBytes) {
        result.errors.erase(0, result.errors.size() - kMaxErrorBytes);
      }
    }
  }
  result.exit_code = child.exit_code();
  return result;
}

}  // namespace longstride::kube
