#include "tests/controller/kube/fake_connection.h"

#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "core/base/format.h"

namespace longstride::kube {
namespace {

constexpr size_t kMaxHeadBytes = size_t{64} << 10;
constexpr size_t kMaxBodyBytes = size_t{16} << 20;

std::string Decode(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      decoded +=
          static_cast<char>(std::strtol(std::string(text.substr(i + 1, 2)).c_str(), nullptr, 16));
      i += 2;
    } else {
      decoded += text[i] == '+' ? ' ' : text[i];
    }
  }
  return decoded;
}

// Cuts `text` at the first `separator`; what follows it stays in `text`.
std::string_view TakeUntil(std::string_view& text, std::string_view separator) {
  const size_t at = text.find(separator);
  const std::string_view part = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + separator.size());
  return part;
}

FakeRequest ParseHead(std::string_view head) {
  FakeRequest request;
  std::string_view line = TakeUntil(head, "\r\n");
  request.method = TakeUntil(line, " ");
  std::string_view target = TakeUntil(line, " ");
  request.path = Decode(TakeUntil(target, "?"));
  while (!target.empty()) {
    std::string_view pair = TakeUntil(target, "&");
    const std::string name = Decode(TakeUntil(pair, "="));
    request.query[name] = Decode(pair);
  }
  while (!head.empty()) {
    std::string_view header = TakeUntil(head, "\r\n");
    std::string name(TakeUntil(header, ":"));
    std::transform(name.begin(), name.end(), name.begin(), [](char c) {
      return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    });
    header.remove_prefix(std::min(header.size(), header.find_first_not_of(' ')));
    request.headers[name] = header;
  }
  return request;
}

std::string Lookup(const std::map<std::string, std::string>& map, const std::string& name) {
  const auto found = map.find(name);
  return found == map.end() ? "" : found->second;
}

}  // namespace

std::string FakeRequest::Query(const std::string& name) const {
  return Lookup(query, name);
}

std::string FakeRequest::Header(const std::string& name) const {
  return Lookup(headers, name);
}

FakeConnection::FakeConnection(SSL_CTX* context, int socket)
    : socket_(socket), ssl_(SSL_new(context)) {
  SSL_set_fd(ssl_, socket_);
}

FakeConnection::~FakeConnection() {
  SSL_free(ssl_);
  close(socket_);
}

bool FakeConnection::Handshake() {
  ERR_clear_error();
  return SSL_accept(ssl_) == 1;
}

std::optional<FakeRequest> FakeConnection::ReadRequest() {
  const auto fill = [&] {
    char bytes[16384];
    ERR_clear_error();
    const int n = SSL_read(ssl_, bytes, sizeof(bytes));
    if (n > 0) buffer_.append(bytes, static_cast<size_t>(n));
    return n > 0;
  };
  size_t end = 0;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    if (buffer_.size() > kMaxHeadBytes || !fill()) return std::nullopt;
  }
  FakeRequest request = ParseHead(std::string_view(buffer_).substr(0, end));
  buffer_.erase(0, end + 4);
  const size_t length = std::strtoul(request.Header("content-length").c_str(), nullptr, 10);
  if (length > kMaxBodyBytes || request.headers.contains("transfer-encoding")) return std::nullopt;
  while (buffer_.size() < length) {
    if (!fill()) return std::nullopt;
  }
  request.body = buffer_.substr(0, length);
  buffer_.erase(0, length);
  return request;
}

bool FakeConnection::Write(const std::string& bytes) {
  const size_t piece = piece_bytes_ > 0 ? piece_bytes_ : std::max<size_t>(bytes.size(), 1);
  for (size_t sent = 0; sent < bytes.size(); sent += piece) {
    ERR_clear_error();
    const size_t size = std::min(piece, bytes.size() - sent);
    if (SSL_write(ssl_, bytes.data() + sent, static_cast<int>(size)) <= 0) return false;
  }
  return true;
}

bool FakeConnection::WriteResponse(int status, const std::string& body,
                                   const std::string& more_headers) {
  return Write(Format("HTTP/1.1 %d Status\r\nContent-Type: application/json\r\n"
                      "Content-Length: %zu\r\n%s\r\n",
                      status, body.size(), more_headers.c_str()) +
               body);
}

void FakeConnection::Shutdown() {
  if (!reset_) shutdown(socket_, SHUT_RDWR);  // a peer that was told of an end hears of no reset
}

void FakeConnection::Reset() {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  reset_ = true;
  shutdown(socket_, SHUT_RD);
}

}  // namespace longstride::kube
