// Templates and the pods that are made of them, in pods/: <case>.template.json and <case>.pod.json.
// LONGSTRIDE_UPDATE_GOLDEN=1 writes the latter anew.
#include "controller/reconcile/pod_builder.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>

#include "controller/reconcile/network_policy.h"

namespace longstride {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::string PathOf(const std::string& name) {
  return std::string(LONGSTRIDE_SOURCE_DIR) + "/tests/controller/reconcile/pods/" + name + ".json";
}

Observed Job(json pod_template) {
  Observed o;
  o.metadata.name = "demo";
  o.metadata.namespace_ = "lab";
  o.uid = "6f1c2f9e-0000-4000-8000-000000000001";
  o.defaults = {"https://longstride.operators.svc:8443", "example.org/longstride-worker:1", "PEM"};
  o.defaults.version = "1.2.3";
  o.spec.emplace();
  o.spec->workers[0].pod_template = std::move(pod_template);
  return o;
}

struct Case {
  std::string name;
  bool claim = false;
};
class PodBuilderGolden : public ::testing::TestWithParam<Case> {};

TEST_P(PodBuilderGolden, TheTemplateIsKeptAndCompleted) {
  Observed o = Job(json::parse(std::ifstream(PathOf(GetParam().name + ".template"))));
  if (GetParam().claim) o.spec->checkpoint.storage = CheckpointStorage{"checkpoints", "runs/a"};
  const json pod = BuildPod(o, {"worker", 2}, 3);
  const std::string path = PathOf(GetParam().name + ".pod");
  if (std::getenv("LONGSTRIDE_UPDATE_GOLDEN") != nullptr)
    std::ofstream(path) << pod.dump(2) << "\n";
  const json expected = json::parse(std::ifstream(path));
  EXPECT_EQ(pod, expected) << json::diff(expected, pod).dump(2);
}

INSTANTIATE_TEST_SUITE_P(Pods, PodBuilderGolden,
                         ::testing::Values(Case{"empty"}, Case{"sidecars", true}, Case{"hardened"},
                                           Case{"contradicting"}),
                         [](const auto& info) { return info.param.name; });

TEST(PodBuilder, ATemplateOfTheWrongShapeIsLeftToTheServerToRefuse) {
  for (const char* text : {R"({"spec": 3})", R"({"spec": {"containers": {"name": "worker"}}})",
                           R"({"metadata": [], "spec": {"containers": [7, null]}})",
                           R"({"spec": {"containers": [{"name": "worker", "env": "x"}]}})"}) {
    const json pod = BuildPod(Job(json::parse(text)), {"worker", 0}, 1);
    EXPECT_EQ(pod["metadata"]["name"], "demo-worker-0-1") << text;
    EXPECT_EQ(pod["spec"]["restartPolicy"], "Never") << text;
  }
}

TEST(PodBuilder, EveryJobWritesItsCheckpointsToAFolderOfItsOwn) {
  Observed o = Job(json::object());
  o.spec->checkpoint.storage = CheckpointStorage{"checkpoints", ""};
  const std::string first = BuildPod(o, {"worker", 0}, 1).dump();
  EXPECT_THAT(first, HasSubstr("/var/lib/longstride/demo-6f1c2f9e"));
  o.uid = "0badcafe-0000-4000-8000-000000000001";  // the job was deleted and made again
  EXPECT_THAT(BuildPod(o, {"worker", 0}, 1).dump(), HasSubstr("/var/lib/longstride/demo-0badcafe"));
}

TEST(PodBuilder, AClaimBelongsToTheImagesGroupUnlessTheTemplateNamesAnother) {
  const auto security = [](json asked, bool claim) -> json {
    Observed o = Job({{"spec", {{"securityContext", std::move(asked)}}}});
    if (claim) o.spec->checkpoint.storage = CheckpointStorage{"checkpoints", ""};
    json made = BuildPod(o, {"worker", 0}, 1)["spec"]["securityContext"];
    return {made.value("fsGroup", json()), made.value("fsGroupChangePolicy", json())};
  };
  EXPECT_EQ(security(json::object(), true), json({65532, "OnRootMismatch"}));
  EXPECT_EQ(security({{"fsGroup", 2000}}, true), json({2000, nullptr}));
  EXPECT_EQ(security({{"fsGroupChangePolicy", "Always"}}, true), json({65532, "Always"}));
  EXPECT_EQ(security(json::object(), false), json({nullptr, nullptr}));
}

TEST(PodBuilder, TheMicroBatchIsTheSmallerOfWhatMemoryHoldsAndWhatTheTemplateAsksFor) {
  const auto micro_batch = [](const char* asked, std::optional<int64_t> limit) {
    json container = {{"name", "worker"}};
    if (asked != nullptr)
      container["env"] = {{{"name", "LONGSTRIDE_MICRO_BATCH"}, {"value", asked}}};
    Observed o = Job({{"spec", {{"containers", {container}}}}});
    o.coordinator.emplace();
    o.coordinator->micro_batch_limits[{"worker", 1}] = 1;
    if (limit) o.coordinator->micro_batch_limits[{"worker", 0}] = *limit;
    const json pod = BuildPod(o, {"worker", 0}, 2);
    for (const json& entry : pod["spec"]["containers"][0]["env"]) {
      if (entry["name"] == "LONGSTRIDE_MICRO_BATCH") return entry["value"].get<std::string>();
    }
    return std::string("any");
  };
  EXPECT_EQ(micro_batch(nullptr, std::nullopt), "any");
  EXPECT_EQ(micro_batch(nullptr, 16), "16");
  EXPECT_EQ(micro_batch("64", std::nullopt), "64");
  EXPECT_EQ(micro_batch("64", 16), "16");
  EXPECT_EQ(micro_batch("8", 16), "8");
  EXPECT_EQ(micro_batch("0", 16), "16") << "0 is as memory allows";
}

TEST(PodBuilder, WithoutStorageNoCheckpointIsWritten) {
  const std::string pod = BuildPod(Job(json::object()), {"worker", 0}, 1).dump();
  EXPECT_THAT(pod, Not(HasSubstr("LONGSTRIDE_OUT")));
  EXPECT_THAT(pod, Not(HasSubstr("/var/lib/longstride\"")));
}

TEST(PodBuilder, ThreadsFollowTheRequestWhereNothingElseBindsThem) {
  const auto threads = [](const char* worker) {
    const json container = json::parse(worker);
    const json pod = BuildPod(Job({{"spec", {{"containers", {container}}}}}), {"worker", 0}, 1);
    std::vector<json> found;
    for (const json& each : pod["spec"]["containers"][0]["env"]) {
      if (each["name"] == "LONGSTRIDE_THREADS") found.push_back(each);
    }
    return found;
  };
  const std::vector<json> plain = threads(R"({"name": "worker"})");
  ASSERT_EQ(plain.size(), 1U);
  EXPECT_EQ(plain[0]["valueFrom"]["resourceFieldRef"]["resource"], "requests.cpu");
  EXPECT_THAT(threads(R"({"name": "worker", "resources": {"limits": {"cpu": "1500m"}}})"),
              IsEmpty());
  const std::vector<json> own =
      threads(R"({"name": "worker", "env": [{"name": "LONGSTRIDE_THREADS", "value": "3"}]})");
  ASSERT_EQ(own.size(), 1U);
  EXPECT_EQ(own[0]["value"], "3");
}

TEST(PodBuilder, AWorkerKnowsHowLongItHasFromTheSignalToTheKill) {
  const auto grace = [](const char* pod_template, double checkpoint) {
    Observed o = Job(json::parse(pod_template));
    o.coordinator.emplace();
    o.coordinator->checkpoint_seconds = checkpoint;
    const json spec = BuildPod(o, {"worker", 0}, 1)["spec"];
    std::string told;
    for (const json& each : spec["containers"][0]["env"]) {
      if (each["name"] == "LONGSTRIDE_GRACE_SECONDS") told += each["value"].get<std::string>();
    }
    return std::pair(spec["terminationGracePeriodSeconds"].get<int>(), told);
  };
  EXPECT_EQ(grace("{}", 0), std::pair(60, std::string("60")));
  EXPECT_EQ(grace("{}", 29.5), std::pair(90, std::string("90")))
      << "the measured checkpoint's time";
  EXPECT_EQ(grace(R"({"spec": {"terminationGracePeriodSeconds": 300}})", 29.5),
            std::pair(300, std::string("300")));
  EXPECT_EQ(grace(R"({"spec": {"terminationGracePeriodSeconds": 0}})", 0),
            std::pair(0, std::string("1")))
      << "0 would mean that nobody kills";
  EXPECT_EQ(grace(R"({"spec": {"containers": [{"name": "worker", "env":
                     [{"name": "LONGSTRIDE_GRACE_SECONDS", "value": "25"}]}]}})",
                  0),
            std::pair(60, std::string("25")));
}

TEST(NetworkPolicyOf, BelongsToTheJob) {
  const Observed o = Job(json::object());
  const json metadata = NetworkPolicyOf(o)["metadata"];
  EXPECT_EQ(metadata["ownerReferences"][0]["uid"], o.uid);
  EXPECT_EQ(metadata["namespace"], "lab");
  EXPECT_EQ(metadata["name"], "demo-longstride");
  EXPECT_EQ(metadata["labels"]["app.kubernetes.io/version"], "1.2.3");
}

TEST(NetworkPolicyOf, WorkersTakeConnectionsFromEachOtherAndOnTheMetricsPort) {
  const json policy = NetworkPolicyOf(Job(json::object()));
  EXPECT_EQ(policy["spec"], json::parse(R"({
    "podSelector": {"matchLabels": {"longstride.dev/job-name": "demo"}},
    "policyTypes": ["Ingress"],
    "ingress": [
      {"from": [{"podSelector": {"matchLabels": {"longstride.dev/job-name": "demo"}}}]},
      {"ports": [{"port": 9464, "protocol": "TCP"}]}]})"));
}

TEST(NetworkPolicyOf, TheMetricsPortIsForThosePeersOnlyThatTheControllerWasGiven) {
  Observed o = Job(json::object());
  o.defaults.metrics_from = json::parse(R"([{"namespaceSelector": {}}])");
  EXPECT_EQ(NetworkPolicyOf(o)["spec"]["ingress"][1], json::parse(R"({
    "ports": [{"port": 9464, "protocol": "TCP"}], "from": [{"namespaceSelector": {}}]})"));
}

}  // namespace
}  // namespace longstride
