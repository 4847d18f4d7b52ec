// A Kubernetes API server small enough for tests and benchmarks: real HTTPS on loopback with a
// certificate made when it starts, an in-memory store with resourceVersions, watches with
// bookmarks, optimistic concurrency, server-side apply (by field ownership of whole leaves),
// status and scale subresources, uid preconditions and deletion of what a deleted object owns. And
// it misbehaves on request: faults by method and path, cut streams, slow answers.
//
// It does not validate, default, admit or authorize (a token may be demanded), knows any kind that
// is asked for by its path, and evaluates label selectors but of field selectors only
// metadata.name and metadata.namespace. Kinds have no schema: lists are replaced as a whole.
//
// Thread-safe. `longstride::fake_api` is its target.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controller/kube/client.h"
#include "controller/kube/cluster_config.h"
#include "controller/kube/resource.h"
#include "tests/controller/kube/fake_authority.h"

namespace longstride::kube {

struct FakeApiOptions {
  std::string token{};                     // demanded when not empty; else 401
  bool demand_client_certificate = false;  // one issued by client_identity()
  // Deleted pods stay with a deletionTimestamp until Delete() here (the kubelet's part) or a
  // request with no grace ends them.
  bool graceful_pods = false;
  bool pages_any_version =
      false;  // lists of resourceVersion "0", too; else `limit` is ignored there
  Duration bookmark_period = std::chrono::seconds(60);
  size_t kept_versions = 20000;  // a watch from an older one is 410
};

// What to do with the next `times` requests that match, in the order that faults were added.
struct FakeFault {
  std::string method{};         // "": any
  std::string path_contains{};  // "": any
  std::string body_contains{};  // "": any
  std::optional<bool> watch{};  // only watches, or only others
  int times = 1;                // < 0: always
  int skip = 0;                 // let so many pass first

  int status = 0;        // answer this, with a Status object of `reason`
  std::string reason{};  // "" = the usual one of the status
  std::string message = "injected";
  std::optional<int> retry_after{};
  Duration delay{};          // before anything else
  size_t dribble_bytes = 0;  // send the answer in so small pieces, each in a packet
  bool cut = false;          // close the connection without an answer
  bool cut_after = false;    // do the work, then close without an answer
  // Watches only: after so many events, …
  std::optional<int> after_events{};
  bool stream_error = false;  // … send an ERROR event with `status` and end; else cut in the
                              // middle of the next event's line
};

struct FakeApiCounts {
  std::map<std::string, int64_t> by_verb;  // "get", "list", "watch", "create", "apply", "patch", …
  int64_t requests = 0;
  int64_t connections = 0;
  int64_t bookmarks = 0;  // counted once they are made
};

class FakeApi;

class FakeApiServer {
 public:
  // Listens on 127.0.0.1 at a free port when this returns.
  [[nodiscard]] static Result<std::unique_ptr<FakeApiServer>> Start(FakeApiOptions options = {});
  ~FakeApiServer();

  [[nodiscard]] std::string url() const;
  [[nodiscard]] const std::string& ca_pem() const;
  // A certificate and key that the server's CA issued to "system:test".
  [[nodiscard]] FakeAuthority::Identity client_identity() const;

  // A connection to it, trusting it and with its client's certificate. `clock` must outlive it. It
  // takes answers of at most `max_body_bytes`; nothing: of the usual length.
  [[nodiscard]] std::unique_ptr<HttpTransport> MakeTransport(
      const Clock& clock, std::optional<size_t> max_body_bytes = {}) const;
  // A client on one, with a rate limit that no test meets.
  [[nodiscard]] std::unique_ptr<Client> MakeClient(const Clock& clock,
                                                   std::optional<size_t> max_body_bytes = {}) const;

  // The store behind the API, for tests that play another actor. They terminate the test program on
  // misuse rather than return errors.
  Json Put(const Resource& resource, Json object);  // creates or replaces; keeps a status not given
  std::optional<Json> Get(const Resource& resource, const ObjectKey& key) const;
  std::vector<Json> List(const Resource& resource) const;
  bool Delete(const Resource& resource, const ObjectKey& key);
  // Answers to POSTs that are computed, not stored: TokenReviews, SelfSubjectAccessReviews.
  void SetReview(const std::string& plural, std::function<Json(const Json& review)> answer);
  // Sees every object before it is created; a status >= 400 refuses it with that reason.
  struct Refusal {
    int status = 0;
    std::string reason;
    std::string message;
    Json causes = Json::array();
  };
  using Admission = std::function<Refusal(const std::string& plural, const Json& object)>;
  void SetAdmission(Admission admit);

  void AddFault(FakeFault fault);
  void ClearFaults();
  // Ends every watch, in the middle of whatever it sends.
  void CutWatches();
  // Every connection there is becomes useless without a word of farewell, as a firewall or a
  // restarted server makes it.
  void ResetConnections();
  // Forgets history: every watch that is resumed from before now is 410.
  void Compact();
  // Refuses connections and cuts those there are, until Resume(): an outage. The port stays ours.
  void Pause();
  void Resume();

  [[nodiscard]] FakeApiCounts counts() const;
  // Blocks until `met` holds of the counts or the store; false after 60 s. Looked at after every
  // request.
  bool WaitFor(const std::function<bool()>& met) const;
  [[nodiscard]] size_t open_watches() const;

 private:
  explicit FakeApiServer(std::unique_ptr<FakeApi> api);
  std::unique_ptr<FakeApi> api_;
};

}  // namespace longstride::kube
