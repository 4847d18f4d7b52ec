#include "tests/bench/controller/job_fleet.h"

#include <cstdlib>
#include <set>
#include <thread>

#include "controller/reconcile/labels.h"
#include "core/protocol/base64.h"

namespace longstride {
namespace {

using kube::Json;

constexpr int kObjectsBesidePods = 1;  // a NetworkPolicy
constexpr const char* kPodUid = "authentication.kubernetes.io/pod-uid";

Json Manifest(int index, int pods) {
  return {
      {"metadata",
       {{"name", JobFleet::NameOf(index)}, {"namespace", JobFleet::kNamespace}, {"generation", 1}}},
      {"spec",
       {{"replicas", pods},
        {"model", {{"name", "mlp"}}},
        {"data", {{"format", "synthetic"}}},
        {"training", {{"maxSamples", 1 << 30}, {"batch", {{"initial", 128}}}}}}}};
}

// Its third part is the pod's UID; the second says that it lasts.
std::string Token(const std::string& uid) {
  const std::string claims = R"({"exp": 4102444800})";
  return "e30." + EncodeBase64({claims.begin(), claims.end()}) + "." + uid;
}

Json Review(const Json& review) {
  const std::string token = kube::StringAt(review, "/spec/token");
  Json answer = review;
  answer["status"] = {
      {"authenticated", true},
      {"audiences", kube::ValueAt(review, "/spec/audiences")},
      {"user",
       {{"username", std::string("system:serviceaccount:") + JobFleet::kNamespace + ":default"},
        {"extra", {{kPodUid, Json::array({token.substr(token.rfind('.') + 1)})}}}}}};
  return answer;
}

kube::ObjectKey PodKey(int index, int worker) {
  return {JobFleet::kNamespace, PodName(JobFleet::NameOf(index), {"worker", worker}, 1)};
}

}  // namespace

JobFleet::JobFleet(kube::FakeApiServer& api, int jobs, int pods_per_job)
    : api_(api), pods_per_job_(pods_per_job), jobs_(static_cast<size_t>(jobs)) {
  api_.SetAdmission([this](const std::string& plural, const Json& object) {
    Note(plural, object);
    return kube::FakeApiServer::Refusal();
  });
  api_.SetReview("tokenreviews", Review);
}

void JobFleet::Note(const std::string& plural, const Json& object) {
  static const std::set<std::string> kOwned = {"pods", "networkpolicies"};
  if (!kOwned.contains(plural)) return;
  const Json& labels = kube::ValueAt(object, "/metadata/labels");
  const std::string name =
      labels.is_object() ? labels.value(kJobNameLabel, std::string()) : std::string();
  if (!name.starts_with("load-")) return;
  const auto index = static_cast<size_t>(std::atoi(name.c_str() + 5));
  const std::lock_guard lock(mutex_);
  Job& job = jobs_.at(index);
  job.last = Steady::now();
  if (++job.objects == pods_per_job_ + kObjectsBesidePods) ++applied_;
}

void JobFleet::Submit(int index) {
  const Json manifest = Manifest(index, pods_per_job_);
  {
    const std::lock_guard lock(mutex_);
    jobs_.at(static_cast<size_t>(index)).submitted = Steady::now();
  }
  api_.Put(kube::TrainingJobs(), manifest);
}

bool JobFleet::WaitApplied(int jobs, std::chrono::seconds limit) const {
  const auto until = Steady::now() + limit;
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      if (applied_ >= jobs) return true;
    }
    if (Steady::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

std::vector<double> JobFleet::Delays() const {
  const std::lock_guard lock(mutex_);
  std::vector<double> delays;
  for (const Job& job : jobs_) {
    if (job.objects >= pods_per_job_ + kObjectsBesidePods)
      delays.push_back(std::chrono::duration<double>(job.last - job.submitted).count());
  }
  return delays;
}

void JobFleet::Run(int index) {
  for (int worker = 0; worker < pods_per_job_; ++worker) {
    Json pod = *api_.Get(kube::Pods(), PodKey(index, worker));
    const Json running = {{"startedAt", "2026-01-01T00:00:00Z"}};
    pod["spec"]["nodeName"] = "node-" + std::to_string(worker);
    pod["status"] = {
        {"phase", "Running"},
        {"podIP", "10.0.0." + std::to_string(worker + 1)},
        {"conditions", Json::array({Json{{"type", "Ready"}, {"status", "True"}}})},
        {"containerStatuses",
         Json::array({Json{{"name", kWorkerContainer}, {"state", {{"running", running}}}}})}};
    api_.Put(kube::Pods(), std::move(pod));
  }
}

std::string JobFleet::UidOf(int index, int worker) const {
  return kube::UidOf(*api_.Get(kube::Pods(), PodKey(index, worker)));
}

std::string JobFleet::TokenOf(int index, int worker) const {
  return Token(UidOf(index, worker));
}

}  // namespace longstride
