#include "cli/terminal.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <array>

namespace longstride {
namespace {

// Puts the dispositions of signals back when the test ends.
class Interrupts : public testing::Test {
 protected:
  Interrupts() {
    for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], nullptr, &before_[i]);
  }
  ~Interrupts() override {
    for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
  }
  static constexpr std::array kSignals{SIGINT, SIGTERM, SIGHUP, SIGPIPE};
  std::array<struct sigaction, kSignals.size()> before_{};
};

TEST_F(Interrupts, AreCounted) {
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) ::signal(signal, SIG_DFL);
  CatchInterrupts();
  const int before = InterruptCount();
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) raise(signal);
  EXPECT_EQ(InterruptCount(), before + 3);
}

TEST_F(Interrupts, ThoseIgnoredByWhoeverStartedUsStayIgnored) {
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) ::signal(signal, SIG_IGN);
  CatchInterrupts();
  const int before = InterruptCount();
  for (int signal : {SIGINT, SIGHUP}) raise(signal);
  EXPECT_EQ(InterruptCount(), before);
  raise(SIGTERM);
  EXPECT_EQ(InterruptCount(), before + 1);
}

}  // namespace
}  // namespace longstride
