// Who has limits of his own.
#pragma once

#include <cstdint>
#include <optional>

namespace velafs::api {

// By user id; nothing: root, the user this process runs as, or an admin, who have none.
using Guest = std::optional<uint32_t>;

}  // namespace velafs::api
