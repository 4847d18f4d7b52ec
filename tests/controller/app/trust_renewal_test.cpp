// Pods that run are told whose certificates to trust now, whatever the API server makes of it.
#include <gmock/gmock.h>

#include <mutex>

#include "controller/reconcile/labels.h"
#include "tests/controller/app/controller_fixture.h"

namespace longstride {
namespace {

using kube::Json;
using ::testing::ElementsAre;

class TrustRenewal : public ControllerTest {
 protected:
  TrustRenewal() {
    ca_bundle_ = [this] {
      const std::lock_guard lock(mutex_);
      return bundle_;
    };
  }
  void Publish(const std::string& bundle) {
    const std::lock_guard lock(mutex_);
    bundle_ = bundle;
  }
  [[nodiscard]] std::string TrustedBy(const std::string& pod) const {
    const auto there = server_->Get(kube::Pods(), {"lab", pod});
    return there ? there->at("metadata").at("annotations").at(kCaBundleAnnotation) : "";
  }
  [[nodiscard]] bool AllTrust(const std::string& bundle) const {
    const std::vector<std::string> pods = PodNames();
    return std::ranges::all_of(pods,
                               [&](const std::string& pod) { return TrustedBy(pod) == bundle; });
  }
  [[nodiscard]] bool HasPods(size_t count) const {
    return Eventually([&] { return PodNames().size() == count; });
  }

 private:
  std::mutex mutex_;
  std::string bundle_ = "PEM";
};

TEST_F(TrustRenewal, ComesWithANewLeaderOfAnotherAuthority) {
  auto controller = Start();
  PutJob();
  ASSERT_TRUE(HasPods(2));
  EXPECT_TRUE(AllTrust("PEM"));
  controller.reset();
  Publish("PEM of an operator that was installed anew");
  controller = Start("second");
  EXPECT_TRUE(Eventually([&] { return AllTrust("PEM of an operator that was installed anew"); }));
  EXPECT_THAT(PodNames(), ElementsAre("demo-worker-0-1", "demo-worker-1-1"));
}

TEST_F(TrustRenewal, IsTriedAgainWhereItFails) {
  const auto controller = Start();
  PutJob();
  ASSERT_TRUE(HasPods(2));
  for (const int status : {500, 409, 503})
    server_->AddFault({.method = "PATCH", .path_contains = "/pods/", .status = status});
  Publish("NEWER PEM");
  controller->WakeAll();
  EXPECT_TRUE(Eventually([&] { return AllTrust("NEWER PEM"); }));
}

TEST_F(TrustRenewal, IsAskedForOnceWhereItIsRefusedForGood) {
  const auto controller = Start();
  PutJob();
  ASSERT_TRUE(HasPods(2));
  server_->AddFault(
      {.method = "PATCH", .path_contains = "/pods/demo-worker-0-1", .times = -1, .status = 403});
  Publish("NEWER PEM");
  controller->WakeAll();
  ASSERT_TRUE(Eventually([&] { return TrustedBy("demo-worker-1-1") == "NEWER PEM"; }));
  PutJob([](Json& job) {
    job["metadata"]["generation"] = 2;
    job["spec"]["replicas"] = 3;
  });
  ASSERT_TRUE(HasPods(3)) << "the job goes on without it";
  EXPECT_EQ(TrustedBy("demo-worker-2-1"), "NEWER PEM");
  EXPECT_EQ(TrustedBy("demo-worker-0-1"), "PEM");
  const auto counted = client_->requests();
  EXPECT_EQ(counted.at({"PATCH", 403}), 1);
}

}  // namespace
}  // namespace longstride
