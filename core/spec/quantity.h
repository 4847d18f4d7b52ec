// Kubernetes quantities of bytes: 2Gi, 512M, 1.5G, 1e9, 1073741824.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace longstride {

// Bytes, rounded up to a whole one. kUser if it is not a quantity, negative, or above 2^53;
// milli-bytes
// ("2m", nearly always a slip for 2M or 2Mi) are refused.
[[nodiscard]] Result<int64_t> ParseQuantity(std::string_view text);

// The shortest exact form with a binary suffix: 2147483648 -> "2Gi", 1500 -> "1500".
[[nodiscard]] std::string FormatQuantity(int64_t bytes);

}  // namespace longstride
