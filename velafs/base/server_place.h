// Directories outside the store for the sockets of a branch's server. They are used if the store's
// path is too long for a socket, or its directories are closed to the branch's user. `store` is
// absolute and without symbolic links.
#pragma once

#include <cstdint>
#include <string>

namespace velafs {

// For root's servers: only root can write above it.
inline constexpr char kRootsPlaces[] = "/run/velafs";
std::string PlaceOfRoots(const std::string& store, uint64_t branch_id);
// For other users' servers: anybody may have made it.
std::string PlaceInTmp(const std::string& store, uint64_t branch_id);

}  // namespace velafs
