#include <cstdlib>
#include <filesystem>
#include <initializer_list>
#include <system_error>

#include "controller/kube/cluster_config.h"
#include "controller/kube/exec_plugin.h"
#include "controller/kube/resource.h"
#include "core/base/log.h"
#include "core/base/read_file.h"
#include "core/protocol/base64.h"
#include "core/spec/node.h"

namespace longstride::kube {
namespace {

// A named cluster, user or context, with where it stands.
struct Entry {
  Json value;
  std::string file;
  std::string path;  // "users[dev]"

  [[nodiscard]] Error Fault(const std::string& field, const std::string& what) const {
    return UserError(file + ": " + path + "." + field + ": " + what);
  }
  [[nodiscard]] std::string Text(const std::string& field) const {
    return StringAt(value, "/" + field);
  }
  // A file's path; relative ones start at the kubeconfig's folder.
  [[nodiscard]] std::string File(const std::string& field) const {
    const std::string path_text = Text(field);
    if (path_text.empty()) return "";
    return (std::filesystem::path(file).parent_path() / path_text).string();
  }
  [[nodiscard]] Result<std::string> Decoded(const std::string& field) const {
    const std::string text = Text(field);
    const auto bytes = DecodeBase64(text);
    if (!bytes) return Fault(field, "is not base64");
    return std::string(bytes->begin(), bytes->end());
  }
  [[nodiscard]] Status Refuse(std::initializer_list<const char*> fields) const {
    for (const char* field : fields) {
      if (value.contains(field)) return Fault(field, "is not supported");
    }
    return {};
  }
};

struct Kubeconfig {
  std::string file;
  Json content;
};

std::vector<std::string> PathsOf(const KubeconfigOptions& options) {
  if (!options.paths.empty()) return options.paths;
  std::vector<std::string> paths;
  const char* listed = std::getenv("KUBECONFIG");
  std::string_view rest = listed ? listed : "";
  while (!rest.empty()) {
    const std::string_view path = rest.substr(0, rest.find(':'));
    if (!path.empty()) paths.emplace_back(path);
    rest.remove_prefix(std::min(rest.size(), path.size() + 1));
  }
  const char* home = std::getenv("HOME");
  if (paths.empty() && home) paths.push_back(std::string(home) + "/.kube/config");
  return paths;
}

Result<Kubeconfig> ReadKubeconfig(const std::string& path) {
  LONGSTRIDE_ASSIGN_OR_RETURN(const std::string text, ReadSmallFile(path));
  Faults faults;
  const std::optional<Node> root = ReadNode(text, path, faults);
  Json content;
  if (root) content = ToOpaqueJson(*root, "", faults);
  if (!faults.empty()) return ToError(faults.Take());
  if (!content.is_object()) return UserError(path + ": not a kubeconfig");
  return Kubeconfig{path, std::move(content)};
}

// The first entry of that name in `list` ("clusters", each {name, `member`: {...}}) of the files.
Result<Entry> FindEntry(const std::vector<Kubeconfig>& files, const std::string& list,
                        const std::string& member, const std::string& name) {
  for (const Kubeconfig& file : files) {
    const Json& entries = ValueAt(file.content, "/" + list);
    if (!entries.is_array()) continue;
    for (const Json& entry : entries) {
      const Json& value = ValueAt(entry, "/" + member);
      if (StringAt(entry, "/name") == name && value.is_object()) {
        return Entry{value, file.file, list + "[" + name + "]"};
      }
    }
  }
  return UserError(files.front().file + ": " + list + ": there is none named \"" + name + "\"");
}

Result<ExecPlugin> ReadPlugin(const Entry& user, const Entry& cluster) {
  const Json& exec = ValueAt(user.value, "/exec");
  ExecPlugin plugin;
  plugin.command = StringAt(exec, "/command");
  if (plugin.command.empty()) return user.Fault("exec.command", "is missing");
  // A path with a slash is relative to the kubeconfig; a bare name is looked up in PATH.
  if (plugin.command.find('/') != std::string::npos) {
    plugin.command = (std::filesystem::path(user.file).parent_path() / plugin.command).string();
  }
  plugin.api_version = StringAt(exec, "/apiVersion");
  if (plugin.api_version != "client.authentication.k8s.io/v1" &&
      plugin.api_version != "client.authentication.k8s.io/v1beta1") {
    return user.Fault("exec.apiVersion", "must be client.authentication.k8s.io/v1");
  }
  if (StringAt(exec, "/interactiveMode") == "Always") {
    return user.Fault("exec.interactiveMode", "Always needs a terminal, which is not supported");
  }
  plugin.install_hint = StringAt(exec, "/installHint");
  const Json& args = ValueAt(exec, "/args");
  if (args.is_array()) {
    for (const Json& arg : args) {
      if (!arg.is_string()) return user.Fault("exec.args", "must be strings");
      plugin.args.push_back(arg.get<std::string>());
    }
  }
  const Json& env = ValueAt(exec, "/env");
  if (env.is_array()) {
    for (const Json& entry : env) {
      plugin.env.emplace_back(StringAt(entry, "/name"), StringAt(entry, "/value"));
    }
  }
  if (ValueAt(exec, "/provideClusterInfo") == Json(true)) {
    plugin.cluster = {{"server", cluster.Text("server")}};
    for (const char* field :
         {"tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data"}) {
      if (cluster.value.contains(field)) plugin.cluster[field] = cluster.value[field];
    }
  }
  return plugin;
}

Result<std::shared_ptr<TlsSource>> ReadTls(const Entry& cluster, const Entry& user,
                                           const Clock& clock) {
  TlsOptions tls;
  tls.server_name = cluster.Text("tls-server-name");
  tls.insecure = ValueAt(cluster.value, "/insecure-skip-tls-verify") == Json(true);
  if (tls.insecure) {
    LogWarning("kube",
               cluster.file + ": " + cluster.path +
                   ".insecure-skip-tls-verify: the API server's certificate is not checked");
  }
  // As everywhere in a kubeconfig, *-data wins over the file.
  LONGSTRIDE_ASSIGN_OR_RETURN(tls.ca_pem, cluster.Decoded("certificate-authority-data"));
  if (tls.ca_pem.empty()) tls.ca_file = cluster.File("certificate-authority");
  LONGSTRIDE_ASSIGN_OR_RETURN(tls.client_certificate_pem, user.Decoded("client-certificate-data"));
  if (tls.client_certificate_pem.empty()) {
    tls.client_certificate_file = user.File("client-certificate");
  }
  LONGSTRIDE_ASSIGN_OR_RETURN(tls.client_key_pem, user.Decoded("client-key-data"));
  if (tls.client_key_pem.empty()) tls.client_key_file = user.File("client-key");
  auto source = TlsSource::Make(std::move(tls), clock);
  if (!source.ok()) return UserError(cluster.file + ": " + source.error().message);
  return source;
}

Result<std::shared_ptr<Credentials>> ReadCredentials(const Entry& user, const Entry& cluster,
                                                     const std::shared_ptr<TlsSource>& tls,
                                                     const Clock& clock) {
  if (user.value.contains("exec")) {
    LONGSTRIDE_ASSIGN_OR_RETURN(ExecPlugin plugin, ReadPlugin(user, cluster));
    return MakeExecCredentials(std::move(plugin), tls, clock);
  }
  const std::string token_file = user.File("tokenFile");
  if (!token_file.empty()) return MakeTokenFile(token_file, clock);
  const std::string token = user.Text("token");
  if (!token.empty() && !IsToken(token)) return user.Fault("token", "holds odd characters");
  return MakeStaticToken(token);
}

std::string CurrentContext(const std::vector<Kubeconfig>& files) {
  for (const Kubeconfig& file : files) {
    std::string name = StringAt(file.content, "/current-context");
    if (!name.empty()) return name;
  }
  return "";
}

}  // namespace

Result<ClusterConfig> LoadKubeconfig(const KubeconfigOptions& options, const Clock& clock) {
  std::vector<Kubeconfig> files;
  for (const std::string& path : PathsOf(options)) {
    // As for kubectl, a list may name files that do not exist; a file asked for must. One that we
    // may not look at is not known to be missing.
    std::error_code error;
    if (options.paths.empty() && !std::filesystem::exists(path, error) && !error) continue;
    LONGSTRIDE_ASSIGN_OR_RETURN(Kubeconfig file, ReadKubeconfig(path));
    files.push_back(std::move(file));
  }
  if (files.empty()) return UserError("no kubeconfig: set KUBECONFIG or name a file");

  const std::string name = options.context.empty() ? CurrentContext(files) : options.context;
  if (name.empty()) {
    return UserError(files.front().file + ": current-context: is not set; name a context");
  }
  LONGSTRIDE_ASSIGN_OR_RETURN(const Entry context, FindEntry(files, "contexts", "context", name));
  LONGSTRIDE_ASSIGN_OR_RETURN(const Entry cluster,
                              FindEntry(files, "clusters", "cluster", context.Text("cluster")));
  Entry user{Json::object(), context.file, "users"};  // a context may do without one
  if (!context.Text("user").empty()) {
    LONGSTRIDE_ASSIGN_OR_RETURN(user, FindEntry(files, "users", "user", context.Text("user")));
  }
  LONGSTRIDE_RETURN_IF_ERROR(cluster.Refuse({"proxy-url"}));
  LONGSTRIDE_RETURN_IF_ERROR(user.Refuse(
      {"auth-provider", "username", "password", "as", "as-uid", "as-groups", "as-user-extra"}));

  ClusterConfig config;
  config.server = cluster.Text("server");
  if (config.server.empty()) return cluster.Fault("server", "is missing");
  LONGSTRIDE_ASSIGN_OR_RETURN(config.tls, ReadTls(cluster, user, clock));
  LONGSTRIDE_ASSIGN_OR_RETURN(config.credentials,
                              ReadCredentials(user, cluster, config.tls, clock));
  const std::string namespace_ = context.Text("namespace");
  if (!namespace_.empty()) config.default_namespace = namespace_;
  return config;
}

}  // namespace longstride::kube
