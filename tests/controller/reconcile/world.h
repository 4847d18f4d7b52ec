// A job and its pods as values, and words for what happens to them: Decide is given what is there,
// and what it wants is done at once.
#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <string>
#include <vector>

#include "controller/reconcile/decide.h"
#include "controller/reconcile/labels.h"

namespace longstride {

class World {
 public:
  explicit World(int64_t replicas = 4, int64_t least = 0) {
    o.metadata.name = "demo";
    o.metadata.namespace_ = "lab";
    o.uid = "6f1c2f9e-0000-4000-8000-000000000001";
    o.generation = 1;
    o.now = 1'790'000'000;
    o.defaults = {"https://longstride.operators.svc:8443", "example.org/longstride-worker:1",
                  "PEM"};
    TrainingJobSpec spec;
    spec.replicas = replicas;
    spec.workers[0].min_replicas = least;
    spec.training.max_epochs = 1;
    o.spec = spec;
  }

  [[nodiscard]] TrainingJobSpec& spec() { return *o.spec; }
  [[nodiscard]] JobStatus& status() { return o.status; }

  Desired Reconcile() {
    last = Decide(o);
    RecordCreated(refuse ? 0 : last.create.size(), last);
    if (last.status) o.status = *last.status;
    for (const PodToDelete& pod : last.remove) {
      for (PodView& at : o.pods) {
        if (at.uid == pod.uid && at.deleted == 0) at.deleted = o.now + 60;
      }
    }
    for (const PodToCreate& pod : last.create) {
      if (refuse) break;
      PodView view = *ViewOfPod(pod.body, o.uid);
      view.uid = "uid-" + std::to_string(++made);
      view.phase = "Pending";
      view.created = o.now;
      o.pods.push_back(view);
    }
    using Hosting = CoordinatorOrders::Hosting;
    if (last.coordinator.hosting == Hosting::kRelease) o.coordinator.reset();
    if (last.coordinator.hosting == Hosting::kHost && !o.coordinator) {
      o.coordinator.emplace();
      o.coordinator->wanted = spec().replicas;
    }
    for (const WorkerExit& exit : last.coordinator.exits) {
      if (o.coordinator && exit.out_of_memory) o.coordinator->memory_kills.insert(exit.pod_uid);
    }
    if (o.coordinator && last.coordinator.replicas)
      o.coordinator->wanted = *last.coordinator.replicas;
    for (const EventToWrite& event : last.events) events.push_back(event.reason);
    return last;
  }

  void Pass(double seconds) { o.now += seconds; }

  // The newest pod of a worker.
  [[nodiscard]] PodView& Pod(int64_t index) {
    PodView* newest = nullptr;
    for (PodView& pod : o.pods) {
      const bool newer = newest == nullptr || pod.incarnation > newest->incarnation;
      if (pod.place.index == index && newer) newest = &pod;
    }
    if (newest == nullptr) throw std::runtime_error("no pod of worker " + std::to_string(index));
    return *newest;
  }
  void Run(int64_t index) {
    PodView& pod = Pod(index);
    pod.phase = "Running";
    pod.node = "node-" + std::to_string(index % 2);
    pod.worker = PodView::Container::kRunning;
    pod.ready = true;
  }
  void Exit(int64_t index, int64_t code, const std::string& reason = "Error") {
    PodView& pod = Pod(index);
    pod.phase = code == 0 ? "Succeeded" : "Failed";
    pod.worker = PodView::Container::kTerminated;
    pod.worker_reason = reason;
    pod.exit_code = code;
    pod.finished = o.now;
    pod.ready = false;
    if (MemberView* member = Member(index)) member->state = MemberView::State::kLeft;
  }
  void Vanish(int64_t index) {
    const std::string uid = Pod(index).uid;
    std::erase_if(o.pods, [&](const PodView& pod) { return pod.uid == uid; });
  }
  // Pods that are being deleted end, and go.
  void Reap() {
    std::erase_if(o.pods, [](const PodView& pod) { return pod.deleted > 0; });
  }
  // Every pod runs and its worker is a member of the next generation.
  void TrainAll() {
    o.coordinator->members.clear();
    for (PodView& pod : o.pods) {
      if (pod.terminal() || pod.deleted > 0) continue;
      Run(pod.place.index);
      o.coordinator->members.push_back({pod.place, pod.uid, MemberView::State::kMember, ""});
    }
    ++o.coordinator->generation;
    o.coordinator->profiles = {{"worker", 0.01, 0.001, 64, 1}};
  }
  void Commit(int64_t round) {
    TrainingProgress progress;
    progress.round = round;
    progress.samples = round * 1000;
    progress.global_batch = 128;
    progress.local_steps = 16;
    progress.loss = 0.5;
    o.coordinator->progress = progress;
  }
  // A job that trains.
  void Start() {
    Reconcile();
    TrainAll();
    Reconcile();
    Commit(5);
    Reconcile();
    events.clear();
  }
  [[nodiscard]] MemberView* Member(int64_t index) {
    if (!o.coordinator) return nullptr;
    for (MemberView& member : o.coordinator->members) {
      if (member.place.index == index) return &member;
    }
    return nullptr;
  }
  [[nodiscard]] std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const PodView& pod : o.pods) names.push_back(pod.name);
    return names;
  }
  [[nodiscard]] std::vector<std::string> Created() const {
    std::vector<std::string> names;
    for (const PodToCreate& pod : last.create) names.push_back(pod.name);
    return names;
  }
  // Of the first pod that was made last; empty if it is not there.
  [[nodiscard]] std::string Environment(const std::string& name) const {
    for (const nlohmann::json& entry : last.create.at(0).body["spec"]["containers"][0]["env"]) {
      if (entry["name"] == name) return entry.value("value", "");
    }
    return "";
  }
  [[nodiscard]] std::vector<std::string> Removed() const {
    std::vector<std::string> names;
    for (const PodToDelete& pod : last.remove) names.push_back(pod.name);
    return names;
  }
  [[nodiscard]] std::string Reason(const std::string& type) const {
    const JobCondition* condition = o.status.Find(type);
    return condition == nullptr ? "" : condition->reason;
  }
  [[nodiscard]] std::string Message(const std::string& type) const {
    const JobCondition* condition = o.status.Find(type);
    return condition == nullptr ? "" : condition->message;
  }

  Observed o;
  Desired last;
  bool refuse = false;  // creations fail
  std::vector<std::string> events;
  int made = 0;  // pods
};

}  // namespace longstride
