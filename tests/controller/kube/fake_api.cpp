#include "tests/controller/kube/fake_api.h"

#include <algorithm>

#include "core/base/format.h"

namespace longstride::kube {
namespace {

constexpr std::chrono::seconds kWaitLimit(60);

// As the API server names the manager of a write that names none.
std::string ManagerOf(const FakeRequest& request) {
  const std::string named = request.Query("fieldManager");
  if (!named.empty()) return named;
  const std::string agent = request.Header("user-agent");
  return agent.substr(0, agent.find('/'));
}

}  // namespace

FakeApi::FakeApi(FakeApiOptions options)
    : options_(std::move(options)), authority_("fake-kube-ca"), store_(options_) {
  store_.OnChange([this] {
    const std::lock_guard lock(watches_mutex_);
    for (Watching* watch : watches_) watch->bell.Ring();
  });
}

FakeApi::~FakeApi() {
  {
    const std::lock_guard lock(progress_mutex_);
    stopping_ = true;
  }
  progressed_.notify_all();
  if (listener_) listener_->Stop();
}

void FakeApi::SetReview(const std::string& plural, Review answer) {
  const std::lock_guard lock(reviews_mutex_);
  reviews_[plural] = std::move(answer);
}

size_t FakeApi::open_watches() {
  const std::lock_guard lock(watches_mutex_);
  return watches_.size();
}

std::string FakeApi::NameIn(const std::string& field_selector) {
  const std::string field = "metadata.name=";
  const size_t at = field_selector.find(field);
  if (at == std::string::npos) return "";
  const size_t begin = at + field.size();
  return field_selector.substr(begin, field_selector.find(',', begin) - begin);
}

Status FakeApi::Start() {
  LONGSTRIDE_ASSIGN_OR_RETURN(
      listener_, FakeListener::Start(authority_, options_.demand_client_certificate,
                                     [this](FakeConnection& connection) { Serve(connection); }));
  return {};
}

void FakeApi::Serve(FakeConnection& connection) {
  while (const std::optional<FakeRequest> request = connection.ReadRequest()) {
    const bool again = Answer(connection, *request);
    Progress();
    if (!again) return;
  }
}

FakeApiCounts FakeApi::Counts() {
  const std::lock_guard lock(progress_mutex_);
  FakeApiCounts counts = counts_;
  counts.connections = listener_->connections();
  return counts;
}

bool FakeApi::WaitFor(const std::function<bool()>& met) {
  const auto until = std::chrono::steady_clock::now() + kWaitLimit;
  std::unique_lock lock(progress_mutex_);
  while (true) {
    const uint64_t seen = progress_;
    lock.unlock();
    if (met()) return true;
    lock.lock();
    if (!progressed_.wait_until(lock, until, [&] { return progress_ != seen; })) return met();
  }
}

void FakeApi::Progress() {
  {
    const std::lock_guard lock(progress_mutex_);
    ++progress_;
  }
  progressed_.notify_all();
}

bool FakeApi::Answer(FakeConnection& connection, const FakeRequest& request) {
  const bool watch = request.method == "GET" && request.Query("watch") == "true";
  const std::optional<FakeFault> fault = faults_.Next(request, watch);
  if (fault && !Pause(fault->delay)) return false;
  if (fault && fault->cut) return false;
  if (fault && fault->status != 0 && !fault->stream_error) {
    Count("refused");
    return Respond(connection, Injected(*fault), fault->retry_after);
  }
  const std::string& token = options_.token;
  if (!token.empty() && request.Header("authorization") != "Bearer " + token) {
    Count("refused");
    return Respond(connection, Refuse(401, "Unauthorized", "Unauthorized"));
  }
  const std::optional<ObjectPath> path = ParsePath(request.path);
  if (!path) return Respond(connection, Refuse(404, "NotFound", "no such path"));
  if (watch) {
    Count("watch");
    RunWatch(connection, request, *path, fault);
    return false;
  }
  const StoreReply reply = Dispatch(request, *path);
  if (fault && fault->cut_after) return false;
  if (fault) connection.Dribble(fault->dribble_bytes);
  return Respond(connection, reply);
}

StoreReply FakeApi::Dispatch(const FakeRequest& request, const ObjectPath& path) {
  if (request.method == "GET") {
    Count(path.key.name.empty() ? "list" : "get");
    if (!path.key.name.empty()) return store_.Get(path);
    // As the real one's cache: a version that may be old is answered whole.
    const bool whole = request.Query("resourceVersion") == "0" && !options_.pages_any_version;
    const size_t limit = whole ? 0 : std::strtoul(request.Query("limit").c_str(), nullptr, 10);
    return store_.List(path, Selector(request.Query("labelSelector")),
                       NameIn(request.Query("fieldSelector")), limit, request.Query("continue"));
  }
  Json body = Json::parse(request.body, nullptr, /*allow_exceptions=*/false);
  if (!body.is_object()) {
    return Refuse(400, "BadRequest", "the body is not a JSON object");
  }
  const std::string manager = ManagerOf(request);
  if (request.method == "POST") return Post(path, std::move(body), manager);
  if (request.method == "PUT") {
    Count(path.subresource.empty() ? "update" : "update-" + path.subresource);
    return store_.Update(path, body, manager);
  }
  if (request.method == "DELETE") {
    Count("delete");
    return store_.Delete(path, ReadDeletion(body));
  }
  if (request.method != "PATCH") return Refuse(405, "MethodNotAllowed", request.method);
  const std::string type = request.Header("content-type");
  if (type == "application/apply-patch+yaml") {
    Count("apply");
    return store_.Apply(path, body, manager, request.Query("force") == "true");
  }
  if (type != "application/merge-patch+json") {
    return Refuse(415, "UnsupportedMediaType", "patches of type " + type);
  }
  Count(path.subresource.empty() ? "patch" : "patch-" + path.subresource);
  return store_.MergePatch(path, body, manager);
}

StoreReply FakeApi::Post(const ObjectPath& path, Json body, const std::string& manager) {
  std::function<Json(const Json&)> review;
  {
    const std::lock_guard lock(reviews_mutex_);
    const auto found = reviews_.find(path.plural);
    if (found != reviews_.end()) review = found->second;
  }
  Count(review ? "review" : "create");
  if (!review) return store_.Create(path, std::move(body), manager);
  return {201, std::make_shared<const std::string>(review(body).dump())};
}

DeleteRequest FakeApi::ReadDeletion(const Json& body) {
  DeleteRequest request;
  request.uid = StringAt(body, "/preconditions/uid");
  request.resource_version = StringAt(body, "/preconditions/resourceVersion");
  request.propagation = StringAt(body, "/propagationPolicy");
  const Json& grace = ValueAt(body, "/gracePeriodSeconds");
  if (grace.is_number_integer()) request.grace_seconds = grace.get<int>();
  return request;
}

bool FakeApi::Respond(FakeConnection& connection, const StoreReply& reply,
                      const std::optional<int>& retry_after) {
  const std::string header = retry_after ? Format("Retry-After: %d\r\n", *retry_after) : "";
  return connection.WriteResponse(reply.status, *reply.body, header);
}

void FakeApi::Count(const std::string& verb) {
  const std::lock_guard lock(progress_mutex_);
  ++counts_.requests;
  ++counts_.by_verb[verb];
}

bool FakeApi::Pause(Duration duration) {
  std::unique_lock lock(progress_mutex_);
  if (duration <= Duration::zero()) return !stopping_;
  return !progressed_.wait_for(lock, duration, [this] { return stopping_; });
}

}  // namespace longstride::kube
