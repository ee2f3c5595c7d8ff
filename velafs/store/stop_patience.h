// How long a daemon waits for its servers when it ends.
#pragma once

#include <chrono>

namespace velafs::store {

// Store::StopServers gives servers that long for a fast shutdown, before an immediate one. Of this
// process; to be set before it serves.
void SetStopPatience(std::chrono::seconds patience);

}  // namespace velafs::store
