// A certificate authority made at run time, for TLS on loopback.
#pragma once

#include <memory>
#include <string>

namespace longstride::kube {

class FakeAuthority {
 public:
  struct Identity {
    std::string certificate_pem;
    std::string key_pem;
  };

  explicit FakeAuthority(const std::string& name);
  ~FakeAuthority();

  [[nodiscard]] const std::string& certificate_pem() const { return certificate_pem_; }
  // For a server at 127.0.0.1, localhost and `dns_name`.
  [[nodiscard]] Identity IssueServer(const std::string& dns_name) const;
  [[nodiscard]] Identity IssueClient(const std::string& common_name) const;

 private:
  struct Keys;
  [[nodiscard]] Identity Issue(const std::string& common_name, const std::string& alt_names,
                               const char* usage) const;

  std::unique_ptr<Keys> keys_;
  std::string certificate_pem_;
};

}  // namespace longstride::kube
