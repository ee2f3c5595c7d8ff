// Guests: callers whom the API limits, so that they leave room for others.
#pragma once

#include <cstdint>
#include <optional>

namespace velafs::api {

// A guest's user id. Empty for root, the user this process runs as, and admins: they have no
// limits.
using Guest = std::optional<uint32_t>;

}  // namespace velafs::api
