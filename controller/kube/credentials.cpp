#include "controller/kube/credentials.h"

#include <algorithm>

#include "core/base/log.h"
#include "core/base/read_file.h"

namespace longstride::kube {
namespace {

constexpr Duration kReadAgainAfter = std::chrono::minutes(1);

class StaticToken final : public Credentials {
 public:
  explicit StaticToken(std::string authorization) : authorization_(std::move(authorization)) {}
  Result<std::string> Authorization(std::stop_token, Duration) override { return authorization_; }
  void Invalidate() override {}

 private:
  const std::string authorization_;
};

class TokenFile final : public Credentials {
 public:
  TokenFile(std::string path, const Clock& clock) : path_(std::move(path)), clock_(clock) {}

  Result<std::string> Authorization(std::stop_token, Duration) override {
    const std::lock_guard lock(mutex_);
    const TimePoint now = clock_.Now();
    if (!authorization_.empty() && !refused_ && now - read_at_ < kReadAgainAfter) {
      return authorization_;
    }
    auto token = ReadToken();
    if (!token.ok() && authorization_.empty()) return token.error();
    if (token.ok()) {
      authorization_ = BearerOf(*token);
    } else {
      LogWarning("kube", "token not read again: " + token.error().message);
    }
    read_at_ = now;
    refused_ = false;
    return authorization_;
  }

  void Invalidate() override {
    const std::lock_guard lock(mutex_);
    refused_ = true;
  }

 private:
  [[nodiscard]] Result<std::string> ReadToken() const {
    LONGSTRIDE_ASSIGN_OR_RETURN(std::string token, ReadSmallFile(path_));
    token.erase(token.find_last_not_of(" \t\r\n") + 1);
    if (!IsToken(token)) return UserError(path_ + ": holds no token");
    return token;
  }

  const std::string path_;
  const Clock& clock_;
  std::mutex mutex_;
  std::string authorization_;
  TimePoint read_at_{};
  bool refused_ = false;
};

}  // namespace

bool IsToken(const std::string& text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

std::string BearerOf(const std::string& token) {
  return "Bearer " + token;
}

std::shared_ptr<Credentials> MakeStaticToken(const std::string& token) {
  return std::make_shared<StaticToken>(token.empty() ? "" : BearerOf(token));
}

std::shared_ptr<Credentials> MakeTokenFile(const std::string& path, const Clock& clock) {
  return std::make_shared<TokenFile>(path, clock);
}

}  // namespace longstride::kube
