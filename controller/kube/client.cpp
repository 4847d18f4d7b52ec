#include "controller/kube/client.h"

#include <algorithm>
#include <iterator>

#include "controller/kube/stoppable_wait.h"
#include "core/base/format.h"

namespace longstride::kube {
namespace {

// More than the server is asked for, as a backstop for one that forgets.
constexpr Duration kWatchGrace = std::chrono::seconds(30);
// For the credentials of a watch, which has no deadline before it begins.
constexpr Duration kWatchCredentials = std::chrono::minutes(1);
constexpr int kMaxAttempts = 10;

// Builds "a=b&c=d", leaving out what is empty.
class Query {
 public:
  Query& Add(const char* name, const std::string& value) {
    if (value.empty()) return *this;
    if (!text_.empty()) text_ += '&';
    text_ += std::string(name) + "=" + UrlEncode(value);
    return *this;
  }
  [[nodiscard]] std::string Text() const { return text_; }

 private:
  std::string text_;
};

void SetBody(TransportRequest& request, const Json& body, const std::string& type) {
  request.body = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  request.headers.emplace_back("Content-Type", type);
}

std::string Action(const char* verb, const Resource& resource, const std::string& what) {
  return std::string(verb) + " " + resource.Text() + (what.empty() ? "" : " " + what);
}

WatchEvent::Type TypeOf(const std::string& name) {
  if (name == "ADDED") return WatchEvent::Type::kAdded;
  if (name == "MODIFIED") return WatchEvent::Type::kModified;
  if (name == "DELETED") return WatchEvent::Type::kDeleted;
  if (name == "BOOKMARK") return WatchEvent::Type::kBookmark;
  return WatchEvent::Type::kError;
}

std::vector<std::string> StringsIn(const Json& list) {
  std::vector<std::string> strings;
  if (!list.is_array()) return strings;
  for (const Json& element : list) {
    if (element.is_string()) strings.push_back(element.get<std::string>());
  }
  return strings;
}

Json ReviewOf(const Resource& resource, Json spec) {
  return {
      {"apiVersion", resource.ApiVersion()}, {"kind", resource.kind}, {"spec", std::move(spec)}};
}

bool Answered(int status) {
  return status >= 200 && status <= 299;
}

}  // namespace

Client::Client(std::shared_ptr<HttpTransport> transport, std::shared_ptr<Credentials> credentials,
               ClientOptions options, const Clock& clock)
    : transport_(std::move(transport)),
      credentials_(std::move(credentials)),
      options_(std::move(options)),
      clock_(clock),
      bucket_(options_.requests_per_second, options_.burst) {}

ApiResult<Json> Client::Get(const Resource& resource, const ObjectKey& key,
                            const CallOptions& call) {
  return Call(Request("GET", resource.ObjectPath(key, ""), ""), Action("get", resource, key.Text()),
              call);
}

ApiResult<ObjectList> Client::List(const Resource& resource, const ListOptions& options,
                                   const CallOptions& call) {
  ObjectList list;
  const auto append = [&](std::vector<Json> page) {
    list.items.insert(list.items.end(), std::make_move_iterator(page.begin()),
                      std::make_move_iterator(page.end()));
  };
  LONGSTRIDE_ASSIGN_OR_RETURN(list.resource_version, ListPages(resource, options, append, call));
  return list;
}

ApiResult<std::string> Client::ListPages(const Resource& resource, const ListOptions& options,
                                         const PageSink& sink, const CallOptions& call) {
  std::string version;
  std::string next;
  do {
    Query query;
    query.Add("labelSelector", options.label_selector).Add("fieldSelector", options.field_selector);
    if (options.page_size > 0) query.Add("limit", std::to_string(options.page_size));
    // A continue token says the version itself.
    query.Add(next.empty() ? "resourceVersion" : "continue",
              next.empty() ? options.resource_version : next);
    LONGSTRIDE_ASSIGN_OR_RETURN(
        Json page, Call(Request("GET", resource.CollectionPath(options.namespace_), query.Text()),
                        Action("list", resource, options.namespace_), call));
    version = ResourceVersionOf(page);
    next = StringAt(page, "/metadata/continue");
    const auto items = page.find("items");
    if (items == page.end() || !items->is_array()) continue;
    std::vector<Json> objects;
    for (Json& item : *items) {
      if (!item.is_object()) continue;
      item["apiVersion"] = resource.ApiVersion();
      item["kind"] = resource.kind;
      objects.push_back(std::move(item));
    }
    sink(std::move(objects));
  } while (!next.empty());
  return version;
}

ApiResult<Json> Client::Create(const Resource& resource, const Json& object,
                               const CallOptions& call) {
  const ObjectKey key = KeyOf(object);
  TransportRequest request = Request("POST", resource.CollectionPath(key.namespace_),
                                     Query().Add("fieldManager", options_.field_manager).Text());
  SetBody(request, object, "application/json");
  return Call(std::move(request), Action("create", resource, key.Text()), call);
}

ApiResult<Json> Client::Apply(const Resource& resource, const Json& object, bool force,
                              const CallOptions& call) {
  const ObjectKey key = KeyOf(object);
  TransportRequest request = Request(
      "PATCH", resource.ObjectPath(key, ""),
      Query().Add("fieldManager", options_.field_manager).Add("force", force ? "true" : "").Text());
  SetBody(request, object, "application/apply-patch+yaml");  // JSON is YAML
  return Call(std::move(request), Action("apply", resource, key.Text()), call);
}

ApiResult<Json> Client::Put(const Resource& resource, const Json& object, const char* subresource,
                            const CallOptions& call) {
  const ObjectKey key = KeyOf(object);
  TransportRequest request = Request("PUT", resource.ObjectPath(key, subresource),
                                     Query().Add("fieldManager", options_.field_manager).Text());
  SetBody(request, object, "application/json");
  return Call(std::move(request), Action("update", resource, key.Text()), call);
}

ApiResult<Json> Client::Update(const Resource& resource, const Json& object,
                               const CallOptions& call) {
  return Put(resource, object, "", call);
}

ApiResult<Json> Client::UpdateStatus(const Resource& resource, const Json& object,
                                     const CallOptions& call) {
  return Put(resource, object, "status", call);
}

ApiResult<Json> Client::MergePatch(const Resource& resource, const ObjectKey& key,
                                   const Json& patch, const std::string& subresource,
                                   const CallOptions& call) {
  TransportRequest request = Request("PATCH", resource.ObjectPath(key, subresource),
                                     Query().Add("fieldManager", options_.field_manager).Text());
  SetBody(request, patch, "application/merge-patch+json");
  return Call(std::move(request), Action("patch", resource, key.Text()), call);
}

ApiResult<Json> Client::Delete(const Resource& resource, const ObjectKey& key,
                               const DeleteOptions& options, const CallOptions& call) {
  Json body = {
      {"apiVersion", "v1"}, {"kind", "DeleteOptions"}, {"propagationPolicy", options.propagation}};
  if (!options.uid.empty()) body["preconditions"]["uid"] = options.uid;
  if (!options.resource_version.empty()) {
    body["preconditions"]["resourceVersion"] = options.resource_version;
  }
  if (options.grace_seconds) body["gracePeriodSeconds"] = *options.grace_seconds;
  TransportRequest request = Request("DELETE", resource.ObjectPath(key, ""), "");
  SetBody(request, body, "application/json");
  return Call(std::move(request), Action("delete", resource, key.Text()), call);
}

ApiResult<std::monostate> Client::Watch(const Resource& resource, const WatchOptions& options,
                                        const WatchSink& sink, std::stop_token stop) {
  const std::string action = Action("watch", resource, options.namespace_);
  const auto seconds = static_cast<int64_t>(ToSeconds(options.timeout));
  TransportRequest request = Request("GET", resource.CollectionPath(options.namespace_),
                                     Query()
                                         .Add("watch", "true")
                                         .Add("allowWatchBookmarks", "true")
                                         .Add("resourceVersion", options.resource_version)
                                         .Add("timeoutSeconds", std::to_string(seconds))
                                         .Add("labelSelector", options.label_selector)
                                         .Add("fieldSelector", options.field_selector)
                                         .Text());
  std::optional<ApiError> broken;
  const auto take = [&](std::string_view line) {
    if (line.empty()) return true;
    Json event = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    const auto object = event.is_object() ? event.find("object") : event.end();
    if (event.is_discarded() || object == event.end()) {
      broken = FromTransport(TransientError("a line of the stream is no event"), action);
      return false;
    }
    return sink({TypeOf(StringAt(event, "/type")), std::move(*object)});
  };
  for (bool again = true;; again = false) {
    const Status authorized = Authorize(request, kWatchCredentials, stop);
    if (!authorized.ok()) return NotSent(authorized.error(), action);
    const auto response = transport_->Stream(request, take, options.timeout + kWatchGrace, stop);
    Count(request.method, response.ok() ? response->status : 0);
    if (!response.ok()) return FromTransport(response.error(), action);
    if (broken) return *broken;
    if (Answered(response->status)) return std::monostate();
    if (response->status != 401 || !again || !credentials_) return ReadApiError(*response, action);
    credentials_->Invalidate();
  }
}

ApiResult<TokenIdentity> Client::ReviewToken(const std::string& token,
                                             const std::vector<std::string>& audiences,
                                             const CallOptions& call) {
  Json spec = {{"token", token}};
  if (!audiences.empty()) spec["audiences"] = audiences;
  LONGSTRIDE_ASSIGN_OR_RETURN(
      const Json review, Create(TokenReviews(), ReviewOf(TokenReviews(), std::move(spec)), call));
  TokenIdentity identity;
  identity.authenticated = ValueAt(review, "/status/authenticated") == Json(true);
  identity.error = StringAt(review, "/status/error");
  identity.username = StringAt(review, "/status/user/username");
  identity.uid = StringAt(review, "/status/user/uid");
  identity.groups = StringsIn(ValueAt(review, "/status/user/groups"));
  identity.audiences = StringsIn(ValueAt(review, "/status/audiences"));
  const Json& extra = ValueAt(review, "/status/user/extra");
  if (extra.is_object()) {
    for (const auto& [name, values] : extra.items()) identity.extra[name] = StringsIn(values);
  }
  return identity;
}

ApiResult<bool> Client::MayI(const std::string& verb, const Resource& resource,
                             const std::string& namespace_, const CallOptions& call) {
  const Json attributes = {{"verb", verb},
                           {"group", resource.group},
                           {"resource", resource.plural},
                           {"namespace", namespace_}};
  const Resource& reviews = SelfSubjectAccessReviews();
  LONGSTRIDE_ASSIGN_OR_RETURN(
      const Json review,
      Create(reviews, ReviewOf(reviews, {{"resourceAttributes", attributes}}), call));
  return ValueAt(review, "/status/allowed") == Json(true);
}

RequestCounts Client::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void Client::Count(const std::string& method, int code) {
  const std::lock_guard lock(mutex_);
  ++requests_[{method, code}];
}

ApiResult<Json> Client::Call(TransportRequest request, const std::string& action,
                             const CallOptions& call) {
  const TimePoint until = clock_.Now() + call.deadline;
  bool credentials_renewed = false;
  for (int attempt = 1;; ++attempt) {
    Status ready;
    if (call.throttled) ready = Throttle(until, call.stop);
    if (ready.ok()) ready = Authorize(request, until - clock_.Now(), call.stop);
    if (!ready.ok()) return NotSent(ready.error(), action);
    const auto response = transport_->Send(request, until - clock_.Now(), call.stop);
    Count(request.method, response.ok() ? response->status : 0);
    if (!response.ok()) return FromTransport(response.error(), action);
    if (Answered(response->status)) {
      Json body = Json::parse(response->body, nullptr, /*allow_exceptions=*/false);
      if (!body.is_object()) {
        return FromTransport(TransientError("the answer is not a JSON object"), action);
      }
      return body;
    }
    if (response->status == 401 && credentials_ && !credentials_renewed) {
      credentials_renewed = true;
      credentials_->Invalidate();
      continue;
    }
    ApiError error = ReadApiError(*response, action);
    const bool again = error.Transient() && error.retry_after && attempt < kMaxAttempts &&
                       clock_.Now() + *error.retry_after < until;
    if (!again) return error;
    if (!WaitFor(*error.retry_after, call.stop)) {
      return FromTransport(InterruptedError("stopped"), action);
    }
  }
}

Status Client::Throttle(TimePoint until, const std::stop_token& stop) {
  std::optional<Duration> wait;
  {
    const std::lock_guard lock(mutex_);
    const TimePoint now = clock_.Now();
    wait = bucket_.ReserveWithin(now, until - now);
  }
  if (!wait) return TransientError("no turn within the deadline (rate limit)");
  if (!WaitFor(*wait, stop)) return InterruptedError("stopped");
  return {};
}

TransportRequest Client::Request(std::string method, std::string path, std::string query) const {
  TransportRequest request;
  request.method = std::move(method);
  request.path = std::move(path);
  request.query = std::move(query);
  request.headers = {{"User-Agent", options_.user_agent}, {"Accept", "application/json"}};
  return request;
}

Status Client::Authorize(TransportRequest& request, Duration limit, const std::stop_token& stop) {
  if (!credentials_) return {};
  LONGSTRIDE_ASSIGN_OR_RETURN(const std::string authorization,
                              credentials_->Authorization(stop, limit));
  std::erase_if(request.headers,
                [](const auto& header) { return header.first == "Authorization"; });
  if (!authorization.empty()) request.headers.emplace_back("Authorization", authorization);
  return {};
}

}  // namespace longstride::kube
