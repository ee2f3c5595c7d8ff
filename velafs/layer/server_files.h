// The files by which a running server marks its data directory as its own. They describe a process,
// not the data: no clone, bookmark or export of a branch shows those of its server.
#pragma once

#include <array>
#include <string_view>

namespace velafs::layer {

inline constexpr std::string_view kServerLock = "postmaster.pid";
inline constexpr std::array<std::string_view, 2> kServerFiles = {kServerLock, "postmaster.opts"};

// For a name in a branch's top directory.
inline bool IsServerFile(std::string_view name) {
  return name == kServerFiles[0] || name == kServerFiles[1];
}

}  // namespace velafs::layer
