// The name that somebody who mistyped one probably meant.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace velafs {

// How many characters must be inserted, removed, replaced or exchanged with the next one to make
// `a` into `b`.
size_t EditDistance(std::string_view a, std::string_view b);

// The candidate that is nearest to `typed`, if it is near enough to be a typing mistake: at most a
// third of its characters differ. Case does not count. Empty if `typed` itself is one of them.
std::optional<std::string> NearestName(std::string_view typed,
                                       const std::vector<std::string>& candidates);

// `did you mean "pr-42"?`, or `otherwise` if no candidate is near enough.
std::string DidYouMean(std::string_view typed, const std::vector<std::string>& candidates,
                       const std::string& otherwise);

}  // namespace velafs
