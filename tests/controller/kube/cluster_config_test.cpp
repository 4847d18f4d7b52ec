#include "controller/kube/cluster_config.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <optional>

#include "controller/kube/cpprest_transport.h"
#include "core/protocol/base64.h"
#include "tests/controller/kube/kube_testing.h"

namespace longstride::kube {
namespace {

using ::testing::HasSubstr;

std::string Base64(const std::string& text) {
  return EncodeBase64(std::vector<uint8_t>(text.begin(), text.end()));
}

class KubeconfigTest : public ::testing::Test {
 protected:
  // A kubeconfig of one context whose cluster and user have these fields.
  std::string Write(const std::string& cluster, const std::string& user,
                    const std::string& name = "config") const {
    return folder_.Write(name,
                         "apiVersion: v1\n"
                         "kind: Config\n"
                         "current-context: dev\n"
                         "clusters:\n"
                         "- name: c\n"
                         "  cluster: {server: 'https://127.0.0.1:6443'" +
                             cluster +
                             "}\n"
                             "users:\n"
                             "- name: u\n"
                             "  user: {" +
                             user +
                             "}\n"
                             "contexts:\n"
                             "- name: dev\n"
                             "  context: {cluster: c, user: u, namespace: team}\n");
  }
  Result<ClusterConfig> Load(const std::string& path, const std::string& context = "") const {
    return LoadKubeconfig({{path}, context}, clock_);
  }
  static std::string AuthorizationOf(const Result<ClusterConfig>& config) {
    if (!config.ok()) return config.error().message;
    const auto authorization = config->credentials->Authorization({}, kLimit);
    return authorization.ok() ? *authorization : authorization.error().message;
  }

  TemporaryFolder folder_;
  ManualClock clock_;
  const FakeAuthority authority_{"ca"};
};

TEST_F(KubeconfigTest, ReadsServerNamespaceAndToken) {
  const auto config = Load(Write("", "token: abc"));
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->server, "https://127.0.0.1:6443");
  EXPECT_EQ(config->default_namespace, "team");
  EXPECT_EQ(AuthorizationOf(config), "Bearer abc");
}

TEST_F(KubeconfigTest, ReadsCertificatesInlineAndFromFilesBesideIt) {
  const FakeAuthority::Identity me = authority_.IssueClient("me");
  (void)folder_.Write("ca.crt", authority_.certificate_pem());
  (void)folder_.Write("me.crt", me.certificate_pem);
  (void)folder_.Write("me.key", me.key_pem);
  EXPECT_TRUE(Load(Write(", certificate-authority: ca.crt",
                         "client-certificate: me.crt, client-key: me.key"))
                  .ok());
  EXPECT_TRUE(Load(Write(", certificate-authority-data: " + Base64(authority_.certificate_pem()),
                         "client-certificate-data: " + Base64(me.certificate_pem) +
                             ", client-key-data: " + Base64(me.key_pem)))
                  .ok());
  EXPECT_FALSE(Load(Write(", certificate-authority: none.crt", "")).ok());
  EXPECT_FALSE(Load(Write("", "client-certificate: me.crt")).ok()) << "without its key";
}

TEST_F(KubeconfigTest, ATokenFileIsReadAgainEachMinuteAndWhenRefused) {
  (void)folder_.Write("token", "one\n");
  const auto config = Load(Write("", "tokenFile: token"));
  EXPECT_EQ(AuthorizationOf(config), "Bearer one");
  (void)folder_.Write("token", "two\n");
  EXPECT_EQ(AuthorizationOf(config), "Bearer one");
  clock_.Advance(std::chrono::minutes(1));
  EXPECT_EQ(AuthorizationOf(config), "Bearer two");
  (void)folder_.Write("token", "three\n");
  config->credentials->Invalidate();
  EXPECT_EQ(AuthorizationOf(config), "Bearer three");
  (void)folder_.Write("token", "");
  config->credentials->Invalidate();
  EXPECT_EQ(AuthorizationOf(config), "Bearer three") << "rather an old one than none";
}

TEST_F(KubeconfigTest, RunsAPluginBesideIt) {
  (void)folder_.WriteScript(
      "plugin", R"(echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",)"
                R"("status":{"token":"'"$1-$EXTRA"'"}}')");
  EXPECT_EQ(AuthorizationOf(
                Load(Write("",
                           "exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, "
                           "args: [arg], env: [{name: EXTRA, value: env}], "
                           "interactiveMode: IfAvailable}"))),
            "Bearer arg-env");
}

TEST_F(KubeconfigTest, ContextsArePickedByNameAndTheFirstFileToNameAnEntryWins) {
  const std::string first = Write("", "token: first", "first");
  const std::string second = folder_.Write("second",
                                           "current-context: other\n"
                                           "users: [{name: u, user: {token: second}}]\n"
                                           "contexts: [{name: other, context: {cluster: c, user: "
                                           "u}}, {name: open, context: {cluster: c}}]\n");
  const auto load = [&](const std::string& context) {
    return LoadKubeconfig({{first, second}, context}, clock_);
  };
  EXPECT_EQ(load("")->default_namespace, "team");
  EXPECT_EQ(load("other")->default_namespace, "default");
  EXPECT_EQ(AuthorizationOf(load("other")), "Bearer first");
  EXPECT_EQ(AuthorizationOf(load("open")), "");
  EXPECT_THAT(load("none").error().message, HasSubstr("contexts: there is none named \"none\""));
}

TEST_F(KubeconfigTest, WhatIsNotSupportedIsRefusedByName) {
  EXPECT_THAT(Load(Write(", proxy-url: 'http://x'", "")).error().message,
              HasSubstr("clusters[c].proxy-url: is not supported"));
  for (const char* field : {"auth-provider", "username", "password", "as"}) {
    EXPECT_THAT(Load(Write("", std::string(field) + ": x")).error().message,
                HasSubstr(std::string("users[u].") + field + ": is not supported"));
  }
}

TEST_F(KubeconfigTest, FaultsNameFileAndPlace) {
  const std::string broken = folder_.Write("broken", "clusters: [}\n");
  EXPECT_THAT(Load(broken).error().message, HasSubstr(broken + ":1:"));
  EXPECT_THAT(Load(folder_.path() + "/none").error().message, HasSubstr("/none: cannot be read"));
  EXPECT_THAT(Load(Write(", certificate-authority-data: '*'", "")).error().message,
              HasSubstr("clusters[c].certificate-authority-data: is not base64"));
  EXPECT_THAT(Load(Write("", "token: 'a b'")).error().message, HasSubstr("users[u].token"));
  EXPECT_THAT(Load(Write("", "exec: {command: x, apiVersion: v0}")).error().message,
              HasSubstr("users[u].exec.apiVersion"));
}

TEST_F(KubeconfigTest, AnAliasBombIsRefusedBeforeItGrows) {
  EXPECT_FALSE(Load(folder_.Write("bomb", "a: &a [x, x]\nb: [*a, *a]\n")).ok());
}

// A variable of the environment for as long as the object lives; null: unset.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    Set(value);
  }
  ~Variable() { Set(old_ ? old_->c_str() : nullptr); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  void Set(const char* value) const {
    if (value) {
      setenv(name_, value, 1);
    } else {
      unsetenv(name_);
    }
  }
  const char* const name_;
  std::optional<std::string> old_;
};

class InAPodTest : public KubeconfigTest {
 protected:
  static constexpr const char* kKubeconfigServer = "https://127.0.0.1:6443";
  static std::string ServerOf(const Result<ClusterConfig>& config) {
    return config.ok() ? config->server : config.error().message;
  }
  const Variable host_{"KUBERNETES_SERVICE_HOST", "192.0.2.1"};
  const Variable port_{"KUBERNETES_SERVICE_PORT", "443"};
  const Variable home_{"HOME", folder_.path().c_str()};
  const Variable kubeconfig_{"KUBECONFIG", nullptr};
};

TEST_F(InAPodTest, AKubeconfigOfTheUserComesBeforeTheServiceAccount) {
  const std::string path = Write("", "token: abc");
  const Variable named("KUBECONFIG", path.c_str());
  EXPECT_EQ(ServerOf(LoadUserClusterConfig({}, clock_)), kKubeconfigServer);
  EXPECT_NE(ServerOf(LoadClusterConfig({}, clock_)), kKubeconfigServer) << "the controller's order";
}

TEST_F(InAPodTest, SoDoesTheOneInTheHomeDirectory) {
  EXPECT_NE(ServerOf(LoadUserClusterConfig({}, clock_)), kKubeconfigServer);
  std::filesystem::create_directory(folder_.path() + "/.kube");
  (void)Write("", "token: abc", ".kube/config");
  EXPECT_EQ(ServerOf(LoadUserClusterConfig({}, clock_)), kKubeconfigServer);
}

TEST_F(InAPodTest, AKubeconfigThatIsNamedButMissingIsAnError) {
  const Variable named("KUBECONFIG", "/nowhere/config");
  EXPECT_THAT(ServerOf(LoadUserClusterConfig({}, clock_)), HasSubstr("no kubeconfig"));
}

TEST_F(InAPodTest, AKubeconfigThatCannotBeLookedForIsNamed) {
  // A name that is too long stands for all that fails, as folders that others may not enter do.
  const std::string path = folder_.path() + "/" + std::string(300, 'x');
  const Variable named("KUBECONFIG", path.c_str());
  EXPECT_THAT(ServerOf(LoadUserClusterConfig({}, clock_)), HasSubstr("cannot be read"));
}

class ConnectedConfigTest : public FakeApiTest {
 protected:
  ConnectedConfigTest() : FakeApiTest({.token = "secret"}) {}
  bool CanList(const Result<ClusterConfig>& config) {
    if (!config.ok()) return false;
    CpprestTransportOptions options;
    options.url = config->server;
    options.tls = config->tls;
    auto transport = MakeCpprestTransport(options);
    if (!transport.ok()) return false;
    Client client(std::move(*transport), config->credentials, {}, clock_);
    return client.List(Pods(), {}).ok();
  }
  TemporaryFolder folder_;
};

TEST_F(ConnectedConfigTest, APodsServiceAccountReachesTheServer) {
  (void)folder_.Write("ca.crt", server_->ca_pem());
  (void)folder_.Write("token", "old");
  (void)folder_.Write("namespace", "team");
  const std::string url = server_->url();
  const std::string port = url.substr(url.rfind(':') + 1);
  const auto config = LoadInCluster({folder_.path(), "127.0.0.1", port}, clock_);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->default_namespace, "team");
  EXPECT_FALSE(CanList(config));
  (void)folder_.Write("token", "secret");
  EXPECT_TRUE(CanList(config)) << "the refused token is read again";
}

TEST_F(ConnectedConfigTest, InsecureSkipTlsVerifyIsObeyed) {
  const auto write = [&](const std::string& insecure) {
    return folder_.Write("config",
                         "current-context: x\n"
                         "clusters: [{name: c, cluster: {server: '" +
                             server_->url() + "', insecure-skip-tls-verify: " + insecure +
                             "}}]\n"
                             "users: [{name: u, user: {token: secret}}]\n"
                             "contexts: [{name: x, context: {cluster: c, user: u}}]\n");
  };
  EXPECT_FALSE(CanList(LoadKubeconfig({{write("false")}, ""}, clock_)));
  EXPECT_TRUE(CanList(LoadKubeconfig({{write("true")}, ""}, clock_)));
}

}  // namespace
}  // namespace longstride::kube
