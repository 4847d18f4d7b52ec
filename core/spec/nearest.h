// "Did you mean ...?": the nearest of a few names by edit distance.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace longstride {

// Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b` (optimal
// string alignment); letter case, '_' and '-' do not count, so max_epochs is at distance 0 of
// maxEpochs.
[[nodiscard]] int EditDistance(std::string_view a, std::string_view b);

// The candidate nearest to `name`, if any is near enough to be what was meant: at most a third of
// its letters differ (at least one may). The first wins among equals.
[[nodiscard]] std::optional<std::string> Nearest(std::string_view name,
                                                 const std::vector<std::string>& candidates);

}  // namespace longstride
