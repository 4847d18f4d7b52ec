// Times as Kubernetes objects hold them (RFC 3339, UTC). Pure; thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace longstride {

// "2026-11-24T08:00:01Z": metav1.Time.
[[nodiscard]] std::string FormatTime(double unix_seconds);
// "2026-11-24T08:00:01.250000Z": metav1.MicroTime, in leases.
[[nodiscard]] std::string FormatMicroTime(double unix_seconds);
// Either of them, or with an offset; nullopt when `text` is no time. Seconds since the Unix epoch.
[[nodiscard]] std::optional<double> ParseTime(std::string_view text);

}  // namespace longstride
