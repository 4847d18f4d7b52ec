#include "tests/bench/controller/controller_process.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <thread>

#include "core/protocol/base64.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;

std::string WriteKubeconfig(const kube::FakeApiServer& api, const fs::path& folder) {
  const std::string ca = EncodeBase64({api.ca_pem().begin(), api.ca_pem().end()});
  const fs::path path = folder / "kubeconfig";
  std::ofstream(path) << "apiVersion: v1\nkind: Config\ncurrent-context: load\n"
                         "clusters:\n- name: load\n  cluster:\n    server: "
                      << api.url() << "\n    certificate-authority-data: " << ca
                      << "\nusers:\n- name: load\n  user: {}\n"
                         "contexts:\n- name: load\n  context: {cluster: load, user: load}\n";
  return path.string();
}

// Ports that were free a moment ago, unlike each other.
std::vector<uint16_t> FreePorts(size_t count) {
  std::vector<uint16_t> ports;
  std::vector<int> sockets;
  for (size_t i = 0; i < count; ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in name{};
    name.sin_family = AF_INET;
    socklen_t size = sizeof(name);
    if (bind(fd, reinterpret_cast<sockaddr*>(&name), size) == 0 &&
        getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) == 0)
      ports.push_back(ntohs(name.sin_port));
    sockets.push_back(fd);
  }
  for (const int fd : sockets) close(fd);
  return ports;
}

}  // namespace

Result<std::unique_ptr<ControllerProcess>> ControllerProcess::Start(
    const std::string& program, const std::vector<std::string>& arguments,
    const kube::FakeApiServer& api, const fs::path& folder) {
  const std::vector<uint16_t> ports = FreePorts(2);
  if (ports.size() < 2) return ResourceError("no free port");
  std::vector<std::string> words = {program,
                                    "--kubeconfig=" + WriteKubeconfig(api, folder),
                                    "--pod-name=load",
                                    "--pod-namespace=operators",
                                    "--pod-ip=127.0.0.1",
                                    "--coordinator-port=" + std::to_string(ports[0]),
                                    "--metrics-port=" + std::to_string(ports[1])};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  const std::string log = (folder / "controller.log").string();
  for (const int fd : {STDOUT_FILENO, STDERR_FILENO})
    posix_spawn_file_actions_addopen(&files, fd, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  pid_t pid = -1;
  const int failed = posix_spawn(&pid, program.c_str(), &files, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  if (failed != 0) return UserError(program + ": " + std::strerror(failed));
  return std::unique_ptr<ControllerProcess>(new ControllerProcess(pid, ports[0]));
}

ControllerProcess::~ControllerProcess() {
  kill(pid_, SIGTERM);
  for (int i = 0; i < 1000; ++i) {
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

}  // namespace longstride
