#include "cli/terminal.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>

namespace longstride {
namespace {

std::atomic<int> interrupt_count{0};
static_assert(std::atomic<int>::is_always_lock_free, "it is used in a signal handler");

}  // namespace

Terminal::Terminal() : interactive_(isatty(STDERR_FILENO) == 1) {}

void Terminal::EndLine() {
  if (!drawn_.empty()) std::fputs("\n", stderr);
  drawn_.clear();
}

int Terminal::Width() const {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void Terminal::Draw(const std::string& line) {
  drawn_ = line;
  std::fputs(("\r\033[K" + line).c_str(), stderr);
  std::fflush(stderr);
}

void Terminal::Print(const std::string& line) {
  if (!drawn_.empty()) std::fputs("\r\033[K", stderr);
  std::fputs((line + "\n" + drawn_).c_str(), stderr);
  std::fflush(stderr);
}

void CatchInterrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupt_count.fetch_add(1, std::memory_order_relaxed); };
  action.sa_flags = SA_RESTART;
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction inherited {};
    sigaction(signal, nullptr, &inherited);
    // nohup ignores SIGHUP for us, and a shell without job control SIGINT for what runs behind it.
    const bool ignored = signal != SIGTERM && inherited.sa_handler == SIG_IGN;
    if (!ignored) sigaction(signal, &action, nullptr);
  }
  ::signal(SIGPIPE,
           SIG_IGN);  // a broken connection is an error of the call, not the end of the process
}

int InterruptCount() {
  return interrupt_count.load(std::memory_order_relaxed);
}

}  // namespace longstride
