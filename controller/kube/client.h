// Typed calls to the API server, on an HttpTransport. Objects are JSON; an object that is sent must
// be complete enough for its verb, the client adds nothing to it. Every call blocks until it is
// answered, its deadline passes or its stop token is triggered; calls wait for the client's own
// rate limit first (within the same deadline; one that would wait longer fails and costs no turn).
//
// A 401 is repeated once with fresh credentials; 429 and 5xx are repeated only if the server says
// when (Retry-After), within the deadline. All else is the caller's to decide.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "controller/kube/api_error.h"
#include "controller/kube/credentials.h"
#include "controller/kube/http_transport.h"
#include "controller/kube/resource.h"
#include "controller/kube/token_bucket.h"
#include "core/base/clock.h"

namespace longstride::kube {

struct ClientOptions {
  double requests_per_second = 50;
  double burst = 100;
  std::string user_agent = "longstride-controller";
  std::string field_manager = "longstride-controller";
};

struct CallOptions {
  Duration deadline = std::chrono::seconds(30);
  std::stop_token stop{};
  bool throttled = true;  // waits for its turn in the rate limit, and takes it
};

struct ListOptions {
  std::string namespace_{};  // "": all
  std::string label_selector{};
  std::string field_selector{};
  std::string resource_version{};  // "0": any state will do; "": the newest
  int page_size = 500;
};

struct ObjectList {
  std::string resource_version;
  std::vector<Json> items;  // with apiVersion and kind, which the server leaves out in lists
};
// Takes the objects of one page, which are as in ObjectList.
using PageSink = std::function<void(std::vector<Json> objects)>;

struct DeleteOptions {
  std::string uid{};                       // precondition, "" for none
  std::string resource_version{};          // precondition, "" for none
  std::string propagation = "Background";  // "Foreground", "Orphan"
  std::optional<int> grace_seconds{};
};

struct WatchOptions {
  std::string namespace_{};
  std::string label_selector{};
  std::string field_selector{};
  std::string resource_version{};
  Duration timeout = std::chrono::minutes(5);  // asked of the server
};

struct WatchEvent {
  enum class Type { kAdded, kModified, kDeleted, kBookmark, kError };
  Type type = Type::kAdded;
  Json object;  // a Status if kError
};

// What a TokenReview found.
struct TokenIdentity {
  bool authenticated = false;
  std::string error;  // why not
  std::string username;
  std::string uid;
  std::vector<std::string> groups;
  std::vector<std::string> audiences;
  std::map<std::string, std::vector<std::string>> extra;
};

// By HTTP method and status; 0 = there was no answer.
using RequestCounts = std::map<std::pair<std::string, int>, int64_t>;

class Client {
 public:
  // `credentials` may be null; `clock` must be thread-safe and outlive the client.
  Client(std::shared_ptr<HttpTransport> transport, std::shared_ptr<Credentials> credentials,
         ClientOptions options, const Clock& clock);

  [[nodiscard]] ApiResult<Json> Get(const Resource& resource, const ObjectKey& key,
                                    const CallOptions& call = {});
  // All pages, each under a deadline of its own. kGone when the continue token grew too old.
  [[nodiscard]] ApiResult<ObjectList> List(const Resource& resource, const ListOptions& options,
                                           const CallOptions& call = {});
  // The same, but each page is given to `sink`, on this thread, before the next is asked for; the
  // list's resourceVersion is returned. What came before an error is not the whole.
  [[nodiscard]] ApiResult<std::string> ListPages(const Resource& resource,
                                                 const ListOptions& options, const PageSink& sink,
                                                 const CallOptions& call = {});
  // The namespace is the object's own, as in all calls that take an object.
  [[nodiscard]] ApiResult<Json> Create(const Resource& resource, const Json& object,
                                       const CallOptions& call = {});
  // Server-side apply under our field manager; `object` holds only the fields that we own.
  // `force`: take fields from other managers; otherwise they are a kConflict.
  [[nodiscard]] ApiResult<Json> Apply(const Resource& resource, const Json& object, bool force,
                                      const CallOptions& call = {});
  // Replaces; kConflict unless metadata.resourceVersion is the newest.
  [[nodiscard]] ApiResult<Json> Update(const Resource& resource, const Json& object,
                                       const CallOptions& call = {});
  [[nodiscard]] ApiResult<Json> UpdateStatus(const Resource& resource, const Json& object,
                                             const CallOptions& call = {});
  // JSON merge patch (RFC 7386); `subresource`: "status", "scale" or "". A
  // metadata.resourceVersion in it is a precondition.
  [[nodiscard]] ApiResult<Json> MergePatch(const Resource& resource, const ObjectKey& key,
                                           const Json& patch, const std::string& subresource = "",
                                           const CallOptions& call = {});
  // The deleted object, or the Status that the server sends in its place.
  [[nodiscard]] ApiResult<Json> Delete(const Resource& resource, const ObjectKey& key,
                                       const DeleteOptions& options = {},
                                       const CallOptions& call = {});

  // Delivers events, on this thread, until the server ends the watch (ok), `sink` returns false
  // (ok) or something fails. Not counted by the rate limit. Without bookmarks asked for there are
  // none; they are always asked for.
  using WatchSink = std::function<bool(WatchEvent event)>;
  [[nodiscard]] ApiResult<std::monostate> Watch(const Resource& resource,
                                                const WatchOptions& options, const WatchSink& sink,
                                                std::stop_token stop);

  // Whose token this is, valid for one of `audiences` (empty: the API server's own).
  [[nodiscard]] ApiResult<TokenIdentity> ReviewToken(const std::string& token,
                                                     const std::vector<std::string>& audiences,
                                                     const CallOptions& call = {});
  // May we do `verb` ("create") on `resource` in `namespace_`?
  [[nodiscard]] ApiResult<bool> MayI(const std::string& verb, const Resource& resource,
                                     const std::string& namespace_, const CallOptions& call = {});

  [[nodiscard]] const ClientOptions& options() const { return options_; }
  // Requests that were answered or given up so far, by any thread, watches included.
  [[nodiscard]] RequestCounts requests() const;

 private:
  [[nodiscard]] TransportRequest Request(std::string method, std::string path,
                                         std::string query) const;
  [[nodiscard]] ApiResult<Json> Call(TransportRequest request, const std::string& action,
                                     const CallOptions& call);
  [[nodiscard]] ApiResult<Json> Put(const Resource& resource, const Json& object,
                                    const char* subresource, const CallOptions& call);
  [[nodiscard]] Status Throttle(TimePoint until, const std::stop_token& stop);
  [[nodiscard]] Status Authorize(TransportRequest& request, Duration limit,
                                 const std::stop_token& stop);
  void Count(const std::string& method, int code);

  const std::shared_ptr<HttpTransport> transport_;
  const std::shared_ptr<Credentials> credentials_;
  const ClientOptions options_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  TokenBucket bucket_;
  RequestCounts requests_;
};

}  // namespace longstride::kube
