#include "runtime/collective/sockets.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

namespace longstride {
namespace {

// A listener on loopback and one connection to it.
class Connection {
 public:
  Connection()
      : listener_(socket(AF_INET, SOCK_STREAM, 0)), client_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* name = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(listener_, name, length), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    EXPECT_EQ(getsockname(listener_, name, &length), 0);
    endpoint_ = {"127.0.0.1", ntohs(address.sin_port)};
    EXPECT_EQ(connect(client_, name, length), 0);
    server_ = accept(listener_, nullptr, nullptr);
  }
  ~Connection() {
    for (const int fd : {listener_, client_, server_}) close(fd);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  const Endpoint& endpoint() const { return endpoint_; }
  int client() const { return client_; }
  // Nothing arrives at the server's side from now on.
  void Cut() const {
    sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
    const sock_fprog program{1, &drop};
    EXPECT_EQ(setsockopt(server_, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
  }
  bool Works() const {
    char byte = 1;
    return send(client_, &byte, 1, MSG_NOSIGNAL) == 1 && recv(server_, &byte, 1, 0) == 1;
  }

 private:
  int listener_ = -1;
  int client_ = -1;
  int server_ = -1;
  Endpoint endpoint_;
};

TEST(Sockets, FindsListeners) {
  const Connection connection;
  EXPECT_TRUE(Listeners().contains(connection.endpoint()));
}

TEST(Sockets, ShutsDownConnectionsOfOneGenerationAndNoOthers) {
  const Connection accepted, made, other;
  const auto found = ConnectionsOf(accepted.endpoint(), {made.endpoint()});
  EXPECT_EQ(found.size(), 2u);  // the server's side of `accepted`, the client's side of `made`
  ShutdownAll(found);
  EXPECT_FALSE(accepted.Works());
  EXPECT_FALSE(made.Works());
  EXPECT_TRUE(other.Works());
}

TEST(Sockets, VitalsTellWhetherAPeerHasGoneAndWhetherBytesMove) {
  const Connection connection;
  const auto sockets = ConnectionsOf(connection.endpoint(), {});
  const SocketVitals before = CheckVitals(sockets);
  EXPECT_FALSE(before.any_closed);
  EXPECT_EQ(CheckVitals(sockets).bytes_moved, before.bytes_moved);
  EXPECT_TRUE(connection.Works());
  EXPECT_EQ(CheckVitals(sockets).bytes_moved, before.bytes_moved + 1);
  shutdown(connection.client(), SHUT_RDWR);
  EXPECT_TRUE(CheckVitals(sockets).any_closed);
}

TEST(Sockets, VitalsTellOfAConnectionThatIsCut) {
  const Connection connection;
  const auto sockets = ConnectionsOf({}, {connection.endpoint()});
  ASSERT_EQ(sockets.size(), 1u);
  const uint64_t before = CheckVitals(sockets).bytes_moved;
  ASSERT_TRUE(connection.Works());
  while (CheckVitals(sockets).bytes_moved == before) std::this_thread::yield();
  EXPECT_FALSE(CheckVitals(sockets, Duration::zero()).any_closed) << "all is acknowledged";
  connection.Cut();
  const char byte = 1;
  ASSERT_EQ(send(connection.client(), &byte, 1, MSG_NOSIGNAL), 1);
  EXPECT_FALSE(CheckVitals(sockets).any_closed) << "not for long";
  while (!CheckVitals(sockets, std::chrono::milliseconds(20)).any_closed) std::this_thread::yield();
}

TEST(Sockets, LeavesADescriptorAloneThatHasBecomeAnotherSocket) {
  const Connection connection;
  ShutdownAll({{connection.client(), 12345}});
  EXPECT_TRUE(connection.Works());
}

}  // namespace
}  // namespace longstride
