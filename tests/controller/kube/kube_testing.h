// What tests of the Kubernetes client share.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "controller/kube/client.h"
#include "core/base/clock.h"
#include "tests/controller/kube/fake_api_server.h"

namespace longstride::kube {

inline constexpr Duration kLimit = std::chrono::seconds(60);  // what should be soon is not yet lost

inline Json MakeObject(const Resource& resource, const std::string& namespace_,
                       const std::string& name, Json spec = Json::object()) {
  return {{"apiVersion", resource.ApiVersion()},
          {"kind", resource.kind},
          {"metadata", {{"namespace", namespace_}, {"name", name}}},
          {"spec", std::move(spec)}};
}

inline Json MakePod(const std::string& name) {
  return MakeObject(Pods(), "default", name);
}

// A fake API server and a client of it.
class FakeApiTest : public ::testing::Test {
 protected:
  explicit FakeApiTest(FakeApiOptions options = {}) {
    auto server = FakeApiServer::Start(std::move(options));
    if (!server.ok()) std::terminate();
    server_ = std::move(*server);
    client_ = server_->MakeClient(clock_);
  }

  const SystemClock clock_{};
  std::unique_ptr<FakeApiServer> server_;
  std::unique_ptr<Client> client_;
};

// A folder that goes with the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "longstride-XXXXXX").string();
    if (!mkdtemp(name.data())) std::terminate();
    path_ = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  // The file's path.
  std::string Write(const std::string& name, const std::string& text) const {
    const std::filesystem::path file = path_ / name;
    std::ofstream(file, std::ios::binary) << text;
    return file.string();
  }
  // A shell script that can be run.
  std::string WriteScript(const std::string& name, const std::string& body) const {
    const std::string file = Write(name, "#!/bin/sh\n" + body);
    std::filesystem::permissions(file, std::filesystem::perms::owner_all);
    return file;
  }
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace longstride::kube
