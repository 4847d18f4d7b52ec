#include "runtime/membership/peer_silence.h"

#include <gtest/gtest.h>

namespace longstride {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class PeerSilenceTest : public testing::Test {
 protected:
  PeerSilenceTest() { silence_.Add(clock_.Now()), silence_.Add(clock_.Now()); }
  void Pass(Duration time) {
    for (Duration done{}; done < time; done += milliseconds(100)) {
      clock_.Advance(milliseconds(100));
      silence_.Look(clock_.Now());
    }
  }
  ManualClock clock_;
  PeerSilence silence_{seconds(2), clock_.Now()};
};

TEST_F(PeerSilenceTest, BeginsAfterTheLimitAndEndsWhenThePeerIsHeard) {
  Pass(seconds(1));
  silence_.Heard(1, clock_.Now());
  Pass(milliseconds(1100));
  EXPECT_TRUE(silence_.IsSilent(0));
  EXPECT_FALSE(silence_.IsSilent(1));
  silence_.Heard(0, clock_.Now());
  EXPECT_TRUE(silence_.Look(clock_.Now()));
  EXPECT_FALSE(silence_.IsSilent(0));
  EXPECT_FALSE(silence_.Look(clock_.Now())) << "nothing has changed since";
}

TEST_F(PeerSilenceTest, WhoWasHeldUpItselfBlamesNobody) {
  clock_.Advance(seconds(30));
  EXPECT_FALSE(silence_.Look(clock_.Now()));
  Pass(milliseconds(1900));
  EXPECT_FALSE(silence_.IsSilent(0));
  Pass(milliseconds(200));
  EXPECT_TRUE(silence_.IsSilent(0));
}

TEST_F(PeerSilenceTest, IsTakenAlongToTheNextSetOfPeers) {
  Pass(milliseconds(2100));
  PeerSilence next(seconds(2), clock_.Now());
  next.Add(silence_, 1);
  EXPECT_FALSE(next.Look(clock_.Now()));
  EXPECT_TRUE(next.IsSilent(0));
}

}  // namespace
}  // namespace longstride
