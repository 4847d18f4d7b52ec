#include "controller/app/coordinator_names.h"

#include <arpa/inet.h>

#include <algorithm>
#include <string_view>

namespace longstride {
namespace {

constexpr std::string_view kScheme = "https://";

// "host:8443/path" or "[::1]:8443" -> the host; "" if there is none.
std::string HostIn(std::string_view rest) {
  rest = rest.substr(0, rest.find('/'));
  if (rest.empty() || rest[0] != '[') return std::string(rest.substr(0, rest.find(':')));
  const size_t end = rest.find(']');
  return end == std::string_view::npos ? "" : std::string(rest.substr(1, end - 1));
}

bool IsAddress(const std::string& host) {
  in6_addr ignored{};
  return inet_pton(AF_INET, host.c_str(), &ignored) == 1 ||
         inet_pton(AF_INET6, host.c_str(), &ignored) == 1;
}

void AddNew(std::vector<std::string>& list, const std::string& entry) {
  if (std::find(list.begin(), list.end(), entry) == list.end()) list.push_back(entry);
}

}  // namespace

Result<CoordinatorNames> NamesOfCoordinator(const ControllerOptions& options) {
  const std::string service = options.coordinator_service + "." + options.pod_namespace + ".svc";
  CoordinatorNames names{{service, service + ".cluster.local"}, {}};
  if (!options.pod_ip.empty()) names.addresses = {options.pod_ip};
  const std::string_view url = options.coordinator_url;
  const std::string host = url.starts_with(kScheme) ? HostIn(url.substr(kScheme.size())) : "";
  if (host.empty()) {
    return UserError("--coordinator-url: \"" + options.coordinator_url +
                     "\" must be https://HOST:PORT");
  }
  AddNew(IsAddress(host) ? names.addresses : names.dns_names, host);
  return names;
}

}  // namespace longstride
