#include "tests/controller/kube/fake_api_server.h"

#include "controller/kube/cpprest_transport.h"
#include "core/base/format.h"
#include "tests/controller/kube/fake_api.h"

namespace longstride::kube {

FakeApiServer::FakeApiServer(std::unique_ptr<FakeApi> api) : api_(std::move(api)) {}

FakeApiServer::~FakeApiServer() = default;

Result<std::unique_ptr<FakeApiServer>> FakeApiServer::Start(FakeApiOptions options) {
  auto api = std::make_unique<FakeApi>(std::move(options));
  LONGSTRIDE_RETURN_IF_ERROR(api->Start());
  return std::unique_ptr<FakeApiServer>(new FakeApiServer(std::move(api)));
}

std::string FakeApiServer::url() const {
  return Format("https://127.0.0.1:%u", unsigned{api_->listener().port()});
}

const std::string& FakeApiServer::ca_pem() const {
  return api_->authority().certificate_pem();
}

FakeAuthority::Identity FakeApiServer::client_identity() const {
  return api_->authority().IssueClient("system:test");
}

std::unique_ptr<HttpTransport> FakeApiServer::MakeTransport(
    const Clock& clock, std::optional<size_t> max_body_bytes) const {
  TlsOptions tls;
  tls.ca_pem = ca_pem();
  if (api_->options().demand_client_certificate) {
    const FakeAuthority::Identity identity = client_identity();
    tls.client_certificate_pem = identity.certificate_pem;
    tls.client_key_pem = identity.key_pem;
  }
  auto source = TlsSource::Make(std::move(tls), clock);
  if (!source.ok()) std::terminate();
  CpprestTransportOptions options;
  options.url = url();
  options.tls = *source;
  options.max_body_bytes = max_body_bytes.value_or(options.max_body_bytes);
  auto transport = MakeCpprestTransport(options);
  if (!transport.ok()) std::terminate();
  return std::move(*transport);
}

std::unique_ptr<Client> FakeApiServer::MakeClient(const Clock& clock,
                                                  std::optional<size_t> max_body_bytes) const {
  ClientOptions unlimited;
  unlimited.requests_per_second = 1e6;
  unlimited.burst = 1e6;
  return std::make_unique<Client>(MakeTransport(clock, max_body_bytes),
                                  MakeStaticToken(api_->options().token), unlimited, clock);
}

Json FakeApiServer::Put(const Resource& resource, Json object) {
  object["apiVersion"] = resource.ApiVersion();
  object["kind"] = resource.kind;
  const ObjectKey key = KeyOf(object);
  Json stored = api_->store().Put(PathOf(resource, key), std::move(object));
  api_->Progress();
  return stored;
}

std::optional<Json> FakeApiServer::Get(const Resource& resource, const ObjectKey& key) const {
  return api_->store().Peek(PathOf(resource, key));
}

std::vector<Json> FakeApiServer::List(const Resource& resource) const {
  return api_->store().PeekAll(PathOf(resource, {}));
}

bool FakeApiServer::Delete(const Resource& resource, const ObjectKey& key) {
  DeleteRequest now;
  now.grace_seconds = 0;
  const bool deleted = api_->store().Delete(PathOf(resource, key), now).status == 200;
  api_->Progress();
  return deleted;
}

void FakeApiServer::SetReview(const std::string& plural,
                              std::function<Json(const Json& review)> answer) {
  api_->SetReview(plural, std::move(answer));
}

void FakeApiServer::SetAdmission(Admission admit) {
  api_->store().SetAdmission(std::move(admit));
}

void FakeApiServer::AddFault(FakeFault fault) {
  api_->faults().Add(std::move(fault));
}

void FakeApiServer::ClearFaults() {
  api_->faults().Clear();
}

void FakeApiServer::CutWatches() {
  api_->CutWatches();
}

void FakeApiServer::ResetConnections() {
  api_->listener().ResetConnections();
}

void FakeApiServer::Compact() {
  api_->store().Compact();
}

void FakeApiServer::Pause() {
  api_->listener().Pause();
}

void FakeApiServer::Resume() {
  api_->listener().Resume();
}

FakeApiCounts FakeApiServer::counts() const {
  return api_->Counts();
}

bool FakeApiServer::WaitFor(const std::function<bool()>& met) const {
  return api_->WaitFor(met);
}

size_t FakeApiServer::open_watches() const {
  return api_->open_watches();
}

}  // namespace longstride::kube
