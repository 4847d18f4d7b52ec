// Bad days of whole controllers: jobs whose pods end and whose users change their minds, an API
// server that fails in every way it can, and a leader that is replaced in the middle. Afterwards
// each job is as its user wants it. LONGSTRIDE_SEEDS=100 runs as many; LONGSTRIDE_SEED=17 runs one
// again, though threads and their timing are never the same.
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>

#include "controller/reconcile/job_status.h"
#include "controller/reconcile/labels.h"
#include "core/base/random.h"
#include "tests/controller/app/controller_fixture.h"

namespace longstride {
namespace {

constexpr int kJobs = 3;
constexpr int kSteps = 18;
const kube::ObjectKey kLease{"operators", "longstride"};

int64_t NumberFromEnvironment(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::atoll(text) : otherwise;
}

class FaultSchedule : private ControllerWorld {
 public:
  explicit FaultSchedule(uint64_t seed) : random_(seed), standby_service_(clock_) {
    lease_duration_ = std::chrono::seconds(3);  // for what follows a release that is lost
    unseen_ = std::chrono::seconds(1);          // for pods that come and go while a watch is down
    kubelet_ = server_->MakeClient(clock_);
    server_->SetAdmission([this](const std::string& plural, const kube::Json& object) {
      const std::lock_guard lock(mutex_);
      if (plural == "pods") ++times_made_[kube::StringAt(object, "/metadata/name")];
      return kube::FakeApiServer::Refusal{};
    });
  }
  ~FaultSchedule() { server_->SetAdmission({}); }  // a slow request may be on its way still

  void Run() {
    std::unique_ptr<Controller> standby;
    std::unique_ptr<Controller> leader = Start("first", service_);
    // What the server holds wakes who waits for it; that somebody leads does not.
    ASSERT_TRUE(Eventually([&] { return server_->Get(kube::Leases(), kLease).has_value(); }));
    for (int i = 0; i < kJobs; ++i) {
      PutJob([&](kube::Json& job) {
        job["metadata"]["name"] = "job-" + std::to_string(i);
        job["spec"]["replicas"] = 2 + Below(4);
      });
    }
    for (int step = 0; step < kSteps; ++step) {
      if (step == kSteps / 3) standby = Start("second", standby_service_);
      if (step == kSteps / 2) leader.reset();
      Step();
      const int64_t until = server_->counts().requests + Below(8);
      ASSERT_TRUE(Eventually([&] { return server_->counts().requests >= until; }));
    }
    server_->ClearFaults();
    ASSERT_TRUE(Eventually([&] {
      for (const std::string& job : completing_) EndAll(job, 0);
      return std::ranges::all_of(Jobs(), [&](const kube::Json& job) { return Settled(job); });
    })) << Text();
    const std::string text = Text();  // asks the server, which calls back under its own lock
    const std::lock_guard lock(mutex_);
    for (const auto& [name, times] : times_made_) EXPECT_EQ(times, 1) << name << "\n" << text;
  }

 private:
  [[nodiscard]] int64_t Below(uint64_t n) { return static_cast<int64_t>(random_.NextBelow(n)); }

  void Step() {
    switch (Below(8)) {
      case 0:
      case 1:
      case 2:
        return EndAnyPod();
      case 3:
        return ChangeAnyJob();
      case 4:
        return BreakWatch();
      default:
        return BreakRequests();
    }
  }

  // --- The user ---

  void ChangeAnyJob() {
    const std::string name = "job-" + std::to_string(Below(kJobs));
    if (completing_.contains(name)) return;
    // Whatever is to come is finite, so this job comes to rest.
    ASSERT_TRUE(Eventually([&] { return Settled(Job(name)); })) << Text();
    kube::Json job = Job(name);
    if (StatusOf(job).finished()) return;
    job.erase("status");  // as it is there
    kube::Json& spec = job["spec"];
    if (Suspended(job)) {
      spec["runPolicy"]["suspend"] = false;
    } else if (Below(2) == 0) {
      spec["runPolicy"]["suspend"] = true;
    } else {
      spec["replicas"] = 2 + Below(4);
    }
    server_->Put(kube::TrainingJobs(), job);
  }

  // --- The nodes ---

  void EndAnyPod() {
    // Of a job whose latest change was seen.
    std::vector<kube::Json> pods;
    for (const kube::Json& job : Jobs()) {
      if (!SeesLatest(job)) continue;
      for (kube::Json& pod : Living(kube::KeyOf(job).name)) pods.push_back(std::move(pod));
    }
    if (pods.empty()) return;
    constexpr std::array kCodes = {7, 7, 7, 7, 7, 143, 137, 6, 5, 2, 0};
    const kube::Json& pod = pods[random_.NextBelow(pods.size())];
    const int code = kCodes[random_.NextBelow(kCodes.size())];
    if (code != 0) return End(pod, code);
    const std::string job = JobNameOf(pod);
    completing_.insert(job);  // its workers end all together
    EndAll(job, 0);
  }
  void EndAll(const std::string& job, int code) {
    for (const kube::Json& pod : Living(job)) End(pod, code);
  }
  // Unless it has just been deleted.
  void End(const kube::Json& pod, int code) {
    const kube::Json state = {{"terminated", {{"exitCode", code}}}};
    const kube::Json status = {
        {"phase", code == 0 ? "Succeeded" : "Failed"},
        {"containerStatuses",
         kube::Json::array({kube::Json{{"name", kWorkerContainer}, {"state", state}}})}};
    (void)kubelet_->MergePatch(kube::Pods(), kube::KeyOf(pod), {{"status", status}}, "status");
  }

  // --- The API server ---

  void BreakRequests() {
    struct Target {
      const char* method;
      const char* path;
    };
    // Of the controllers alone: the kubelet patches pods.
    constexpr std::array kTargets = {Target{"POST", "/pods"},        Target{"POST", "/pods"},
                                     Target{"DELETE", "/pods"},      Target{"GET", "/pods"},
                                     Target{"PUT", "/status"},       Target{"PUT", "/status"},
                                     Target{"PUT", "/leases"},       Target{"GET", "/leases"},
                                     Target{"PATCH", "/networkpol"}, Target{"PATCH", "/networkpol"},
                                     Target{"PATCH", "/endpointsl"}, Target{"POST", "/events"}};
    const Target target = kTargets[random_.NextBelow(kTargets.size())];
    kube::FakeFault fault;
    fault.method = target.method;
    fault.path_contains = target.path;
    fault.watch = false;
    fault.times = static_cast<int>(1 + Below(2));
    fault.skip = static_cast<int>(Below(3));
    switch (Below(6)) {
      case 0:
        fault.cut = true;
        break;
      case 1:
        fault.cut_after = true;
        break;
      case 2:
        fault.dribble_bytes = static_cast<size_t>(1 + Below(64));
        break;
      case 3:
        fault.delay = std::chrono::milliseconds(Below(200));
        break;
      case 4:
        fault.status = std::array{429, 503, 504}[random_.NextBelow(3)];
        if (fault.status == 429 && Below(2) == 0) fault.retry_after = 1;
        break;
      default:
        // A deletion that is a conflict is of another pod: that would be a lie.
        fault.status =
            fault.method == "DELETE" ? 500 : std::array{409, 410, 500}[random_.NextBelow(3)];
        fault.times = 1;  // a pod that is refused is tried again after seconds, then twice that
    }
    server_->AddFault(fault);
  }

  void BreakWatch() {
    if (++broken_watches_ > 2) return;  // a reflector that fails again waits twice as long
    kube::FakeFault fault;
    fault.path_contains = Below(2) == 0 ? "/pods" : "/trainingjobs";
    fault.watch = true;
    switch (Below(4)) {
      case 0:
        fault.status = 503;
        break;
      case 1:
        fault.after_events = static_cast<int>(Below(3));
        fault.stream_error = true;
        fault.status = 410;
        break;
      case 2:
        fault.after_events = static_cast<int>(Below(3));
        break;
      default:
        server_->Compact();
    }
    if (fault.status != 0 || fault.after_events) server_->AddFault(fault);
    server_->CutWatches();
  }

  // --- What there is ---

  [[nodiscard]] std::vector<kube::Json> Jobs() const { return server_->List(kube::TrainingJobs()); }
  [[nodiscard]] kube::Json Job(const std::string& name) const {
    return *server_->Get(kube::TrainingJobs(), {"lab", name});
  }
  [[nodiscard]] static JobStatus StatusOf(const kube::Json& job) {
    return StatusFromJson(kube::ValueAt(job, "/status"));
  }
  [[nodiscard]] static bool Suspended(const kube::Json& job) {
    return kube::ValueAt(job, "/spec/runPolicy/suspend") == true;
  }
  [[nodiscard]] static bool SeesLatest(const kube::Json& job) {
    return StatusOf(job).observed_generation == kube::ValueAt(job, "/metadata/generation");
  }
  [[nodiscard]] static std::string JobNameOf(const kube::Json& pod) {
    return pod["metadata"]["labels"][kJobNameLabel].get<std::string>();
  }
  [[nodiscard]] std::vector<kube::Json> Living(const std::string& job) const {
    std::vector<kube::Json> living = server_->List(kube::Pods());
    std::erase_if(living, [&](const kube::Json& pod) {
      return JobNameOf(pod) != job || kube::StringAt(pod, "/status/phase") != "Pending";
    });
    return living;
  }
  // As its user wants it, and its status says so.
  [[nodiscard]] bool Settled(const kube::Json& job) const {
    const JobStatus status = StatusOf(job);
    if (!SeesLatest(job)) return false;
    std::set<WorkerPlace> places;
    const std::vector<kube::Json> living = Living(kube::KeyOf(job).name);
    for (const kube::Json& pod : living) {
      const PodView view = *ViewOfPod(pod, kube::UidOf(job));
      const GroupStatus* group = status.Group(view.place.group);
      const auto index = static_cast<size_t>(view.place.index);
      const bool recorded = group != nullptr && index < group->workers.size() &&
                            group->workers[index].incarnation == view.incarnation;
      if (!view.ours || !recorded || !places.insert(view.place).second) return false;
    }
    if (status.finished()) return living.empty();
    if (Suspended(job)) return living.empty() && status.Holds(kSuspended);
    return !status.Holds(kSuspended) && status.replicas == job["spec"]["replicas"] &&
           static_cast<int64_t>(living.size()) == status.replicas;
  }
  [[nodiscard]] std::string Text() const {
    std::string text;
    for (const kube::Json& job : Jobs())
      text += (Settled(job) ? "settled: " : "not settled: ") + job.dump(2) + "\n";
    for (const kube::Json& pod : server_->List(kube::Pods()))
      text += kube::KeyOf(pod).Text() + " " + kube::ValueAt(pod, "/status").dump() + "\n";
    return text;
  }

  SeededRandom random_;
  CoordinatorService standby_service_;
  std::unique_ptr<kube::Client> kubelet_;
  std::set<std::string> completing_;
  int broken_watches_ = 0;
  std::mutex mutex_;
  std::map<std::string, int> times_made_;
};

TEST(ControllerFaults, EveryJobIsAsItsUserWantsItOnceTheyAreOver) {
  const int64_t only = NumberFromEnvironment("LONGSTRIDE_SEED", 0);
  const int64_t first = only > 0 ? only : 1;
  const int64_t last = only > 0 ? only : NumberFromEnvironment("LONGSTRIDE_SEEDS", 3);
  for (int64_t seed = first; seed <= last; ++seed) {
    SCOPED_TRACE("LONGSTRIDE_SEED=" + std::to_string(seed));
    FaultSchedule(static_cast<uint64_t>(seed)).Run();
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
}

}  // namespace
}  // namespace longstride
