// Controllers and an API server of their own: tests play kubectl, kubelet and quota.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "controller/app/controller.h"
#include "tests/controller/kube/fake_api_server.h"

namespace longstride {

class ControllerWorld {
 protected:
  ControllerWorld() : service_(clock_) {
    auto started = kube::FakeApiServer::Start();
    if (!started.ok()) throw std::runtime_error(started.error().message);
    server_ = std::move(*started);
    client_ = server_->MakeClient(clock_);
  }

  [[nodiscard]] std::unique_ptr<Controller> Start(const std::string& identity = "first") {
    return Start(identity, service_);
  }
  // Replicas that are there at the same time have a service each.
  [[nodiscard]] std::unique_ptr<Controller> Start(const std::string& identity,
                                                  CoordinatorService& service) {
    ControllerConfig config;
    config.leadership.threads = 2;
    config.leadership.poll = std::chrono::milliseconds(10);
    config.leadership.reconciler.defaults = {"https://coordinator:8443", "worker:1", ""};
    config.leadership.reconciler.ca_bundle = ca_bundle_;
    config.leadership.reconciler.unseen = unseen_;
    config.lease.key = {"operators", "longstride"};
    config.lease.identity = identity;
    config.lease.lease_duration = lease_duration_;
    config.lease.renew_deadline = lease_duration_ * 2 / 3;
    config.lease.retry_period = std::chrono::milliseconds(50);
    config.service = "longstride-coordinator";
    config.address = "10.0.0.7";
    config.port = 8443;
    return std::make_unique<Controller>(config, *client_, service, clock_);
  }

  // lab/demo, with two workers.
  [[nodiscard]] static kube::Json DemoJob() {
    return kube::Json::parse(R"({
  "apiVersion": "longstride.dev/v1alpha1", "kind": "TrainingJob",
  "metadata": {"name": "demo", "namespace": "lab", "generation": 1},
  "spec": {
    "replicas": 2,
    "model": {"name": "mlp"},
    "data": {"format": "synthetic"},
    "training": {"maxEpochs": 1, "batch": {"initial": 32}}}})");
  }
  void PutJob(const std::function<void(kube::Json&)>& change = [](kube::Json&) {}) {
    kube::Json job = DemoJob();
    change(job);
    server_->Put(kube::TrainingJobs(), job);
  }
  [[nodiscard]] kube::Json Job() const {
    return server_->Get(kube::TrainingJobs(), {"lab", "demo"}).value_or(kube::Json());
  }
  [[nodiscard]] kube::Json Condition(const std::string& type) const {
    const kube::Json job = Job();
    for (const kube::Json& each : kube::ValueAt(job, "/status/conditions")) {
      if (each.at("type") == type) return each;
    }
    return kube::Json();
  }
  [[nodiscard]] bool Holds(const std::string& type, const std::string& reason) const {
    const kube::Json condition = Condition(type);
    return condition.is_object() && condition["status"] == "True" && condition["reason"] == reason;
  }
  [[nodiscard]] std::vector<std::string> PodNames() const {
    std::vector<std::string> names;
    for (const kube::Json& pod : server_->List(kube::Pods()))
      names.push_back(kube::StringAt(pod, "/metadata/name"));
    std::ranges::sort(names);
    return names;
  }
  // What the kubelet says of a pod.
  void SetPodStatus(const std::string& pod_name, const kube::Json& status) {
    kube::Json pod = *server_->Get(kube::Pods(), {"lab", pod_name});
    pod["status"] = status;
    server_->Put(kube::Pods(), pod);
  }
  // ... and of its worker.
  void Say(const std::string& pod_name, const std::string& phase, const kube::Json& worker_state) {
    SetPodStatus(pod_name,
                 {{"phase", phase},
                  {"containerStatuses",
                   kube::Json::array({kube::Json{{"name", "worker"}, {"state", worker_state}}})}});
  }
  void Exit(const std::string& pod_name, int code) {
    Say(pod_name, code == 0 ? "Succeeded" : "Failed",
        {{"terminated", {{"exitCode", code}, {"reason", code == 0 ? "Completed" : "Error"}}}});
  }
  [[nodiscard]] bool Eventually(const std::function<bool()>& met) const {
    return server_->WaitFor(met);
  }

  SystemClock clock_;
  Duration lease_duration_ = std::chrono::seconds(15);
  Duration unseen_ = std::chrono::seconds(60);
  std::function<std::string()> ca_bundle_ = [] { return std::string("PEM"); };
  std::unique_ptr<kube::FakeApiServer> server_;
  std::unique_ptr<kube::Client> client_;
  CoordinatorService service_;
};

class ControllerTest : public ::testing::Test, protected ControllerWorld {};

}  // namespace longstride
