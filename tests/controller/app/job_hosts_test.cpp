// What was counted in a job outlives its hosting.
#include "controller/app/job_hosts.h"

#include <gmock/gmock.h>

#include "tests/controller/coordinator/samples.h"

namespace longstride {
namespace {

using ::testing::IsEmpty;
using Hosting = CoordinatorOrders::Hosting;

class JobHostsTest : public ::testing::Test {
 protected:
  // A look at the job, whose status says `data_parallel_bytes`, and its outcome.
  void Look(int64_t data_parallel_bytes, Hosting hosting, const std::string& uid = "first") {
    const TrainingJob job = MakeJob(1);
    Observed o;
    o.uid = uid;
    o.metadata = job.metadata;
    o.spec = job.spec;
    o.status.progress.totals.data_parallel_bytes = data_parallel_bytes;
    o.coordinator = hosts_.View(kKey, uid);
    CoordinatorOrders orders;
    orders.hosting = hosting;
    EXPECT_TRUE(hosts_.Carry(kKey, o, orders).ok());
  }
  [[nodiscard]] int64_t Hosted() const {
    return hosts_.Figures().at(kKey).totals.data_parallel_bytes;
  }

  inline static const JobKey kKey{"default", "demo"};
  ManualClock clock_;
  CoordinatorService service_{clock_};
  JobHosts hosts_{service_, std::make_shared<StaticTokenAuthenticator>("secret"), /*term=*/1,
                  clock_};
};

TEST_F(JobHostsTest, TotalsGoOnFromWhatWasCountedWhereTheStatusIsOlder) {
  Look(700, Hosting::kHost);
  EXPECT_EQ(Hosted(), 700);
  Look(700, Hosting::kRelease);
  EXPECT_THAT(hosts_.Figures(), IsEmpty());
  EXPECT_EQ(hosts_.Released().at(kKey).data_parallel_bytes, 700);
  Look(600, Hosting::kHost);
  EXPECT_EQ(Hosted(), 700);
  Look(600, Hosting::kRelease);
  Look(800, Hosting::kHost);
  EXPECT_EQ(Hosted(), 800);
}

TEST_F(JobHostsTest, AnotherJobUnderTheNameBeginsAnew) {
  Look(700, Hosting::kHost);
  Look(700, Hosting::kRelease);
  Look(0, Hosting::kHost, "second");
  EXPECT_EQ(Hosted(), 0);
  EXPECT_THAT(hosts_.Released(), IsEmpty());
}

TEST_F(JobHostsTest, NothingIsKeptOfAJobThatIsGone) {
  Look(700, Hosting::kHost);
  hosts_.Forget(kKey);
  EXPECT_THAT(hosts_.Figures(), IsEmpty());
  EXPECT_THAT(hosts_.Released(), IsEmpty());
}

// Those who hold what was trained may be on their way.
TEST_F(JobHostsTest, AfterATakeoverANewcomerSettlesNothing) {
  const TrainingJob job = MakeJob(2);
  Observed o;
  o.uid = "first";
  o.metadata = job.metadata;
  o.spec = job.spec;
  o.status.Set(kRunning, true, "Training", "2 workers train", 0);
  CoordinatorOrders orders;
  orders.hosting = Hosting::kHost;
  ASSERT_TRUE(hosts_.Carry(kKey, o, orders).ok());
  service_.WithJob(kKey, [](Coordinator& coordinator, TimePoint now) {
    EXPECT_TRUE(coordinator.Join(MakeJoin(0), now).ok());
  });
  hosts_.Poll([](const JobKey&, bool) {});
  EXPECT_EQ(hosts_.View(kKey, "first")->present(), 1);
  EXPECT_TRUE(hosts_.View(kKey, "first")->settling);
  clock_.Advance(std::chrono::seconds(5));
  service_.Tick();
  EXPECT_FALSE(hosts_.View(kKey, "first")->settling) << "everyone had the time to come";
}

}  // namespace
}  // namespace longstride
