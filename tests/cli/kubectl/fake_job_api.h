// A cluster of one namespace in memory, for tests of the plugin's commands.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/kubectl/job_api.h"

namespace longstride {

class FakeJobApi : public JobApi {
 public:
  // What a watch of the job delivers after its present state, one after the other.
  std::vector<nlohmann::json> changes;
  // What ends a watch after these changes.
  Error watch_error = TransientError("gave up waiting");
  std::map<std::string, nlohmann::json> jobs;
  std::vector<nlohmann::json> pods;
  std::vector<nlohmann::json> events;
  std::map<std::string, std::vector<std::string>> logs;  // by pod
  std::vector<std::string> patches;                      // "name/subresource: patch"

  Result<nlohmann::json> Create(const nlohmann::json& job) override {
    const std::string name = job["metadata"]["name"];
    if (jobs.contains(name)) return UserError("trainingjobs \"" + name + "\" already exists");
    return jobs[name] = job;
  }
  Result<nlohmann::json> Get(const std::string& name) override {
    const auto found = jobs.find(name);
    if (found == jobs.end()) return UserError("trainingjobs \"" + name + "\" not found");
    return found->second;
  }
  Result<std::vector<nlohmann::json>> List() override {
    std::vector<nlohmann::json> all;
    for (const auto& [name, job] : jobs) all.push_back(job);
    return all;
  }
  Result<nlohmann::json> Patch(const std::string& name, const nlohmann::json& patch,
                               const std::string& subresource) override {
    LONGSTRIDE_ASSIGN_OR_RETURN(nlohmann::json job, Get(name));
    patches.push_back(name + "/" + subresource + ": " + patch.dump());
    job.merge_patch(patch);
    return jobs[name] = job;
  }
  Status Delete(const std::string& name, const std::string& uid) override {
    LONGSTRIDE_ASSIGN_OR_RETURN(const nlohmann::json job, Get(name));
    if (!uid.empty() && job["metadata"].value("uid", "") != uid)
      return UserError("the UID in the precondition does not match");
    jobs.erase(name);
    return {};
  }
  Status Watch(const std::string& name, Duration,
               const std::function<bool(const nlohmann::json&)>& sink, std::stop_token) override {
    LONGSTRIDE_ASSIGN_OR_RETURN(const nlohmann::json job, Get(name));
    if (!sink(job)) return {};
    for (const nlohmann::json& change : changes) {
      if (!sink(change)) return {};
    }
    return watch_error;
  }
  Result<std::vector<nlohmann::json>> Pods(const std::string&) override { return pods; }
  Result<std::vector<nlohmann::json>> Events(const std::string&) override { return events; }
  Status Logs(const std::string& pod, const LogOptions& options,
              const std::function<void(std::string_view)>& sink, std::stop_token) override {
    const auto found = logs.find(pod);  // by several threads, so none may add it
    if (found == logs.end()) return {};
    const std::vector<std::string>& lines = found->second;
    const size_t skipped = options.tail && lines.size() > static_cast<size_t>(*options.tail)
                               ? lines.size() - static_cast<size_t>(*options.tail)
                               : 0;
    for (size_t i = skipped; i < lines.size(); ++i) sink(lines[i]);
    return {};
  }
};

}  // namespace longstride
