#include "controller/reconcile/observed.h"

#include <algorithm>
#include <charconv>

#include "controller/reconcile/labels.h"
#include "core/base/format.h"

namespace longstride {
namespace {

using nlohmann::json;

const json& At(const json& from, const char* key) {
  static const json kNone;
  if (!from.is_object()) return kNone;
  const auto it = from.find(key);
  return it == from.end() ? kNone : *it;
}
std::string Text(const json& from, const char* key) {
  const json& value = At(from, key);
  return value.is_string() ? value.get<std::string>() : std::string();
}
std::optional<int64_t> LabelNumber(const json& labels, const char* key) {
  const std::string text = Text(labels, key);
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

// What a container has written, or the last lines of its log where it wrote nothing of its own.
std::string LastWords(const json& terminated) {
  constexpr size_t kLongest = 300;
  std::string text = Text(terminated, "message");
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.size() > kLongest ? "..." + text.substr(text.size() - kLongest) : text;
}
std::string WithDetail(const std::string& text, const std::string& detail) {
  return detail.empty() ? text : text + ": " + detail;
}

void ReadConditions(const json& conditions, PodView& view) {
  for (const json& condition : conditions) {
    const std::string type = Text(condition, "type");
    const bool holds = Text(condition, "status") == "True";
    if (type == "Ready") view.ready = holds;
    if (type == "DisruptionTarget") view.disrupted = holds;
    if (type == "PodScheduled" && !holds) {
      view.unscheduled_reason = Text(condition, "reason");
      view.unscheduled_message = Text(condition, "message");
    }
  }
}

void ReadContainers(const json& statuses, PodView& view) {
  for (const json& status : statuses) {
    const json& state = At(status, "state");
    const json& terminated = At(state, "terminated");
    if (Text(status, "name") != kWorkerContainer) {
      view.others_run = view.others_run || !terminated.is_object();
      continue;
    }
    const json& waiting = At(state, "waiting");
    view.worker = PodView::Container::kWaiting;
    if (At(state, "running").is_object()) view.worker = PodView::Container::kRunning;
    view.worker_reason = Text(waiting, "reason");
    view.worker_message = Text(waiting, "message");
    if (!terminated.is_object()) continue;
    view.worker = PodView::Container::kTerminated;
    view.worker_reason = Text(terminated, "reason");
    view.worker_message = LastWords(terminated);
    if (const json& code = At(terminated, "exitCode"); code.is_number_integer())
      view.exit_code = code;
    view.finished = FromTime(Text(terminated, "finishedAt"));
  }
}

// One that cannot start keeps the worker from starting; one that has failed has failed its pod.
void ReadInitContainers(const json& pod, PodView& view) {
  if (view.worker > PodView::Container::kWaiting || IsWaitingFault(view.worker_reason)) return;
  for (const json& status : At(At(pod, "status"), "initContainerStatuses")) {
    const std::string name = Text(status, "name");
    const json& waiting = At(At(status, "state"), "waiting");
    if (!view.terminal() && IsWaitingFault(Text(waiting, "reason"))) {
      view.worker = PodView::Container::kWaiting;
      view.worker_reason = Text(waiting, "reason");
      view.worker_message = WithDetail("init container " + name, Text(waiting, "message"));
      return;
    }
    const json& terminated = At(At(status, "state"), "terminated");
    const json& code = At(terminated, "exitCode");
    // Sidecars are killed after the one that has failed.
    if (view.phase != "Failed" || !code.is_number_integer() || code == 0 || IsSidecar(pod, name))
      continue;
    // What the node has against the pod comes before what became of its containers then.
    if (!view.pod_reason.empty() || !view.pod_message.empty()) return;
    const std::string reason = Text(terminated, "reason");
    std::string detail = LastWords(terminated);
    if (detail.empty() && reason != "Error") detail = reason;  // "OOMKilled"
    view.pod_message = WithDetail(Format("init container %s: exit code %lld", name.c_str(),
                                         static_cast<long long>(code.get<int64_t>())),
                                  detail);
    return;
  }
}

}  // namespace

bool IsWaitingFault(const std::string& reason) {
  return !reason.empty() && reason != "ContainerCreating" && reason != "PodInitializing";
}

bool IsSidecar(const json& pod, const std::string& init_container) {
  for (const json& container : At(At(pod, "spec"), "initContainers")) {
    if (Text(container, "name") == init_container)
      return Text(container, "restartPolicy") == "Always";
  }
  return false;
}

std::optional<PodView> ViewOfPod(const json& pod, const std::string& job_uid) {
  const json& metadata = At(pod, "metadata");
  const json& labels = At(metadata, "labels");
  const auto index = LabelNumber(labels, kIndexLabel);
  const auto incarnation = LabelNumber(labels, kIncarnationLabel);
  PodView view;
  view.name = Text(metadata, "name");
  view.place.group = Text(labels, kGroupLabel);
  if (!index || !incarnation || view.place.group.empty() || view.name.empty()) return std::nullopt;
  view.uid = Text(metadata, "uid");
  view.place.index = *index;
  view.incarnation = *incarnation;
  for (const json& owner : At(metadata, "ownerReferences")) {
    const json& controller = At(owner, "controller");
    if (controller.is_boolean() && controller.get<bool>())
      view.ours = Text(owner, "uid") == job_uid;
  }
  view.created = FromTime(Text(metadata, "creationTimestamp"));
  view.deleted = FromTime(Text(metadata, "deletionTimestamp"));
  view.node = Text(At(pod, "spec"), "nodeName");
  view.ca_bundle = Text(At(At(pod, "metadata"), "annotations"), kCaBundleAnnotation);
  const json& status = At(pod, "status");
  view.phase = Text(status, "phase");
  view.pod_reason = Text(status, "reason");
  view.pod_message = Text(status, "message");
  ReadConditions(At(status, "conditions"), view);
  ReadContainers(At(status, "containerStatuses"), view);
  ReadInitContainers(pod, view);
  return view;
}

int64_t CoordinatorView::present() const {
  return std::ranges::count_if(
      members, [](const MemberView& m) { return m.state <= MemberView::State::kMember; });
}

int64_t CoordinatorView::training() const {
  return std::ranges::count(members, MemberView::State::kMember, &MemberView::state);
}

const MemberView* CoordinatorView::Find(const WorkerPlace& place) const {
  const auto it = std::ranges::find(members, place, &MemberView::place);
  return it == members.end() ? nullptr : &*it;
}

}  // namespace longstride
