// The HTTP face of the fake API server: routes, tokens, faults, watches. FakeApiServer is what
// tests use. Thread-safe.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "tests/controller/kube/bell.h"
#include "tests/controller/kube/fake_api_server.h"
#include "tests/controller/kube/fake_authority.h"
#include "tests/controller/kube/fake_connection.h"
#include "tests/controller/kube/fake_listener.h"
#include "tests/controller/kube/fake_store.h"
#include "tests/controller/kube/fault_script.h"

namespace longstride::kube {

class FakeApi {
 public:
  using Review = std::function<Json(const Json& review)>;

  explicit FakeApi(FakeApiOptions options);
  ~FakeApi();
  Status Start();

  void SetReview(const std::string& plural, Review answer);
  void CutWatches();
  [[nodiscard]] size_t open_watches();
  [[nodiscard]] FakeApiCounts Counts();
  bool WaitFor(const std::function<bool()>& met);
  // Something happened that WaitFor may be waiting for.
  void Progress();

  [[nodiscard]] const FakeApiOptions& options() const { return options_; }
  [[nodiscard]] const FakeAuthority& authority() const { return authority_; }
  [[nodiscard]] FakeStore& store() { return store_; }
  [[nodiscard]] FaultScript& faults() { return faults_; }
  [[nodiscard]] FakeListener& listener() { return *listener_; }

 private:
  struct Watching {
    explicit Watching(FakeConnection& c) : connection(c) {}
    FakeConnection& connection;
    Bell bell;
  };

  // Until the connection ends.
  void Serve(FakeConnection& connection);
  // False when the connection is to end.
  bool Answer(FakeConnection& connection, const FakeRequest& request);
  StoreReply Dispatch(const FakeRequest& request, const ObjectPath& path);
  StoreReply Post(const ObjectPath& path, Json body, const std::string& manager);
  [[nodiscard]] static DeleteRequest ReadDeletion(const Json& body);
  // "metadata.name=x" of a field selector.
  [[nodiscard]] static std::string NameIn(const std::string& field_selector);
  static bool Respond(FakeConnection& connection, const StoreReply& reply,
                      const std::optional<int>& retry_after = std::nullopt);
  void Count(const std::string& verb);
  // False when the server stops meanwhile.
  bool Pause(Duration duration);

  void RunWatch(FakeConnection& connection, const FakeRequest& request, const ObjectPath& path,
                const std::optional<FakeFault>& fault);
  void WatchToEnd(Watching& watching, const FakeRequest& request, const ObjectPath& path,
                  const std::optional<FakeFault>& fault);
  static void SendError(FakeConnection& connection, const StoreReply& status);
  [[nodiscard]] static StoreReply Injected(const FakeFault& fault);

  const FakeApiOptions options_;
  const FakeAuthority authority_;
  FakeStore store_;
  FaultScript faults_;
  std::unique_ptr<FakeListener> listener_;
  std::mutex reviews_mutex_;
  std::map<std::string, Review> reviews_;
  std::mutex watches_mutex_;
  std::set<Watching*> watches_;
  std::mutex progress_mutex_;
  std::condition_variable progressed_;
  uint64_t progress_ = 0;
  bool stopping_ = false;
  FakeApiCounts counts_;
};

}  // namespace longstride::kube
