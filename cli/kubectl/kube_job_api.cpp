#include "cli/kubectl/kube_job_api.h"

#include <algorithm>
#include <optional>
#include <random>
#include <utility>

#include "controller/kube/backoff.h"
#include "core/base/log.h"

namespace longstride {
namespace {

using kube::ApiReason;
using kube::ObjectKey;
using nlohmann::json;

constexpr Duration kLongestGet = std::chrono::seconds(30);
constexpr Duration kLongestWatch = std::chrono::minutes(5);
// A watch that the server ends sooner, and that told of nothing, is repeated after a pause.
constexpr Duration kShortestWatch = std::chrono::seconds(1);
constexpr Duration kLongestLog = std::chrono::hours(24 * 365);

class KubeJobApi : public JobApi {
 public:
  KubeJobApi(std::shared_ptr<kube::HttpTransport> transport,
             std::shared_ptr<kube::Credentials> credentials, std::string name_space,
             const Clock& clock, Pause pause)
      : transport_(transport),
        credentials_(credentials),
        namespace_(std::move(name_space)),
        clock_(clock),
        pause_(std::move(pause)),
        client_(std::move(transport), std::move(credentials), Options(), clock) {}

  Result<json> Create(const json& job) override {
    json object = job;
    object["metadata"]["namespace"] = namespace_;
    return Plain(client_.Create(kube::TrainingJobs(), object));
  }

  Result<json> Get(const std::string& name) override {
    return Plain(client_.Get(kube::TrainingJobs(), Key(name)));
  }

  Result<std::vector<json>> List() override { return Items(kube::TrainingJobs(), {}); }

  Result<json> Patch(const std::string& name, const json& patch,
                     const std::string& subresource) override {
    return Plain(client_.MergePatch(kube::TrainingJobs(), Key(name), patch, subresource));
  }

  Status Delete(const std::string& name, const std::string& uid) override {
    kube::DeleteOptions options;
    options.uid = uid;
    const auto deleted = client_.Delete(kube::TrainingJobs(), Key(name), options);
    return deleted.ok() ? Status() : Status(deleted.error());
  }

  Status Watch(const std::string& name, Duration deadline,
               const std::function<bool(const json&)>& sink, std::stop_token stop) override {
    const TimePoint until = clock_.Now() + deadline;
    SeededRandom random{std::random_device{}()};
    kube::Backoff backoff;
    std::string failure;
    while (clock_.Now() < until) {
      bool done = false, told = false;
      const TimePoint began = clock_.Now();
      const Status status = LookAndWatch(name, until, sink, stop, done, told);
      if (done) return {};
      if (status.ok()) {
        failure.clear();
        if (told || clock_.Now() - began >= kShortestWatch) continue;
      } else {
        if (status.error().code != ErrorCode::kTransient) return status;
        if (failure.empty()) LogWarning("kubectl", status.error().message + "; trying again");
        failure = ": " + status.error().message;
      }
      const TimePoint now = clock_.Now();
      if (!pause_(std::min(backoff.Next(now, random), until - now), stop))
        return InterruptedError("stopped waiting for " + name);
    }
    return TransientError("gave up waiting for " + name + failure);
  }

  Result<std::vector<json>> Pods(const std::string& name) override {
    kube::ListOptions options;
    options.label_selector = "longstride.dev/job-name=" + name;
    return Items(kube::Pods(), options);
  }

  Result<std::vector<json>> Events(const std::string& name) override {
    kube::ListOptions options;
    options.field_selector = "involvedObject.kind=TrainingJob,involvedObject.name=" + name;
    return Items(kube::Events(), options);
  }

  Status Logs(const std::string& pod, const LogOptions& options,
              const std::function<void(std::string_view)>& sink, std::stop_token stop) override {
    kube::TransportRequest request;
    request.path = kube::Pods().ObjectPath(Key(pod), "log");
    request.query = "container=worker";
    if (options.follow) request.query += "&follow=true";
    if (options.tail) request.query += "&tailLines=" + std::to_string(*options.tail);
    if (credentials_) {
      LONGSTRIDE_ASSIGN_OR_RETURN(std::string value,
                                  credentials_->Authorization(stop, kLongestGet));
      if (!value.empty()) request.headers.emplace_back("Authorization", std::move(value));
    }
    const auto take = [&](std::string_view line) {
      sink(line);
      return true;
    };
    const std::string action = "read the log of " + pod;
    const auto response = transport_->Stream(request, take, kLongestLog, stop);
    if (!response.ok()) return Error(kube::FromTransport(response.error(), action));
    if (response->status / 100 != 2) return Error(kube::ReadApiError(*response, action));
    return {};
  }

 private:
  static kube::ClientOptions Options() {
    kube::ClientOptions options;
    options.user_agent = "kubectl-longstride";
    options.field_manager = "kubectl-longstride";
    return options;
  }

  [[nodiscard]] ObjectKey Key(const std::string& name) const { return {namespace_, name}; }

  static Result<json> Plain(kube::ApiResult<json> result) {
    if (!result.ok()) return Error(result.error());
    return std::move(*result);
  }

  Result<std::vector<json>> Items(const kube::Resource& resource, kube::ListOptions options) {
    options.namespace_ = namespace_;
    auto list = client_.List(resource, options);
    if (!list.ok()) return Error(list.error());
    return std::move(list->items);
  }

  // The job as it is, then one watch of it.
  Status LookAndWatch(const std::string& name, TimePoint until,
                      const std::function<bool(const json&)>& sink, const std::stop_token& stop,
                      bool& done, bool& told) {
    const Duration left = std::max<Duration>(until - clock_.Now(), std::chrono::seconds(1));
    LONGSTRIDE_ASSIGN_OR_RETURN(
        const json job,
        Plain(client_.Get(kube::TrainingJobs(), Key(name), {std::min(left, kLongestGet), stop})));
    done = !sink(job);
    if (done) return {};
    return WatchOnce(name, kube::ResourceVersionOf(job), until, sink, stop, done, told);
  }

  // One watch of the job from `version`; sets `told` once there was an event, `done` once `sink`
  // has had enough. A watch that the server ends, or whose version is too old, is no error: the
  // caller looks again.
  Status WatchOnce(const std::string& name, const std::string& version, TimePoint until,
                   const std::function<bool(const json&)>& sink, const std::stop_token& stop,
                   bool& done, bool& told) {
    kube::WatchOptions options;
    options.namespace_ = namespace_;
    options.field_selector = "metadata.name=" + name;
    options.resource_version = version;
    options.timeout =
        std::clamp<Duration>(until - clock_.Now(), std::chrono::seconds(1), kLongestWatch);
    bool deleted = false;
    std::optional<kube::ApiError> refused;
    const auto result = client_.Watch(
        kube::TrainingJobs(), options,
        [&](const kube::WatchEvent& event) {
          using Type = kube::WatchEvent::Type;
          if (event.type == Type::kError) {
            refused = kube::ReadStatusObject(event.object, "watch " + name);
            return false;
          }
          told = true;
          if (event.type == Type::kBookmark) return true;
          deleted = event.type == Type::kDeleted;
          done = !deleted && !sink(event.object);
          return !deleted && !done;
        },
        stop);
    if (deleted) return UserError(name + " was deleted");
    if (!result.ok()) refused = result.error();
    if (!refused || refused->reason == ApiReason::kGone) return {};
    return Error(*refused);
  }

  const std::shared_ptr<kube::HttpTransport> transport_;
  const std::shared_ptr<kube::Credentials> credentials_;
  const std::string namespace_;
  const Clock& clock_;
  const Pause pause_;
  kube::Client client_;
};

}  // namespace

std::unique_ptr<JobApi> MakeKubeJobApi(std::shared_ptr<kube::HttpTransport> transport,
                                       std::shared_ptr<kube::Credentials> credentials,
                                       const std::string& name_space, const Clock& clock,
                                       Pause pause) {
  return std::make_unique<KubeJobApi>(std::move(transport), std::move(credentials), name_space,
                                      clock, std::move(pause));
}

}  // namespace longstride
