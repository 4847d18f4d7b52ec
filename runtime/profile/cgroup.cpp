#include "runtime/profile/cgroup.h"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace longstride {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> SplitAt(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);) parts.push_back(part);
  return parts;
}

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  for (const std::string& n : names) {
    if (n == name) return true;
  }
  return false;
}

struct Mount {
  CgroupVersion version;
  std::string group_root;  // the group that the mount point shows
  std::string mount_point;
};

// /proc/self/mountinfo: "id parent dev root mountpoint options [optional...] - type source super".
std::vector<Mount> ReadMounts(const std::string& root, const std::string& controller) {
  std::vector<Mount> mounts;
  std::ifstream in(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(in, line);) {
    const size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const std::vector<std::string> head = SplitAt(line.substr(0, dash), ' ');
    const std::vector<std::string> tail = SplitAt(line.substr(dash + 3), ' ');
    if (head.size() < 5 || tail.size() < 3) continue;
    if (tail[0] == "cgroup2") {
      mounts.push_back({CgroupVersion::kV2, head[3], head[4]});
    } else if (tail[0] == "cgroup" && Contains(SplitAt(tail[2], ','), controller)) {
      mounts.push_back({CgroupVersion::kV1, head[3], head[4]});
    }
  }
  return mounts;
}

// /proc/PID/cgroup: "4:memory:/path" for v1, "0::/path" for v2.
std::optional<std::string> ReadGroup(const std::string& root, const std::string& process,
                                     CgroupVersion version, const std::string& controller) {
  std::ifstream in(root + "/proc/" + process + "/cgroup");
  for (std::string line; std::getline(in, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool match = version == CgroupVersion::kV2
                           ? controllers.empty()
                           : Contains(SplitAt(controllers, ','), controller);
    if (match) return line.substr(second + 1);
  }
  return std::nullopt;
}

std::vector<std::string> FromGroupToMount(const std::string& root, const Mount& mount,
                                          std::string group) {
  if (mount.group_root != "/" && group.rfind(mount.group_root, 0) == 0) {
    group = group.substr(mount.group_root.size());
  }
  std::vector<std::string> directories;
  std::error_code ignored;
  // "/../x" is how a namespace shows a group outside of it; nothing of it is visible here.
  if (group.find("..") == std::string::npos) {
    for (fs::path p(group); !p.empty() && p != "/"; p = p.parent_path()) {
      const std::string directory = root + mount.mount_point + p.string();
      if (fs::is_directory(directory, ignored)) directories.push_back(directory);
    }
  }
  directories.push_back(root + mount.mount_point);
  return directories;
}

}  // namespace

std::vector<CgroupHierarchy> FindCgroups(const std::string& root, const std::string& controller,
                                         const std::string& process) {
  std::vector<CgroupHierarchy> found;
  for (const Mount& mount : ReadMounts(root, controller)) {
    const std::string group = ReadGroup(root, process, mount.version, controller).value_or("/");
    found.push_back({mount.version, FromGroupToMount(root, mount, group)});
  }
  return found;
}

std::optional<std::string> ReadFirstLine(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  if (!std::getline(in, line)) return std::nullopt;
  return line;
}

int64_t CountCpuList(const std::string& list) {
  int64_t count = 0;
  for (const std::string& part : SplitAt(list, ',')) {
    int64_t low = 0;
    const char* end = part.data() + part.size();
    auto [rest, error] = std::from_chars(part.data(), end, low);
    if (error != std::errc()) return 0;
    int64_t high = low;
    if (rest != end) {
      if (*rest != '-') return 0;
      auto [last, high_error] = std::from_chars(rest + 1, end, high);
      if (high_error != std::errc() || last != end || high < low) return 0;
    }
    count += high - low + 1;
  }
  return count;
}

}  // namespace longstride
