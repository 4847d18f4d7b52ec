// Where a process's control groups are, for cgroup v1 and v2 alike. Pure reading of files below
// a root directory ("/" on a machine, a fixture tree in a test); what is missing or unreadable is
// left out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace longstride {

enum class CgroupVersion { kV1, kV2 };

// The directories of one controller that bind a process, from its own group up to the mount
// point: limits are hierarchical, so the tightest of them holds.
struct CgroupHierarchy {
  CgroupVersion version = CgroupVersion::kV2;
  std::vector<std::string> directories;
};

// The hierarchies that carry `controller` ("cpu", "memory", "cpuset"): v1's, v2's, or both on a
// hybrid system. A group that is not visible from inside a container's mount counts as the mount
// point itself. `process`: whose groups, a process id or "self".
[[nodiscard]] std::vector<CgroupHierarchy> FindCgroups(const std::string& root,
                                                       const std::string& controller,
                                                       const std::string& process = "self");

// The first line of a file without its newline.
[[nodiscard]] std::optional<std::string> ReadFirstLine(const std::string& path);

// The number of CPUs in a kernel list such as "0-3,8,10-11"; 0 if it is malformed.
[[nodiscard]] int64_t CountCpuList(const std::string& list);

}  // namespace longstride
