// Log lines: "2026-11-24T08:00:01.250Z INFO  training: text". One process-wide sink, standard error
// unless a program sets another before it starts threads. Thread-safe: a line is written whole.
#pragma once

#include <string_view>

namespace longstride {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Lines below `level` are dropped. Default kInfo. Call before threads start.
void SetLogLevel(LogLevel level);

void Log(LogLevel level, std::string_view component, std::string_view text);

inline void LogDebug(std::string_view c, std::string_view t) {
  Log(LogLevel::kDebug, c, t);
}
inline void LogInfo(std::string_view c, std::string_view t) {
  Log(LogLevel::kInfo, c, t);
}
inline void LogWarning(std::string_view c, std::string_view t) {
  Log(LogLevel::kWarning, c, t);
}
inline void LogError(std::string_view c, std::string_view t) {
  Log(LogLevel::kError, c, t);
}

}  // namespace longstride
