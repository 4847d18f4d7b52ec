// Base64 (RFC 4648 section 4, with padding), strict: no white space, no missing padding, no stray
// bits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace longstride {

[[nodiscard]] std::string EncodeBase64(const std::vector<uint8_t>& bytes);
// nullopt when `text` is not what EncodeBase64 would write.
[[nodiscard]] std::optional<std::vector<uint8_t>> DecodeBase64(std::string_view text);

}  // namespace longstride
