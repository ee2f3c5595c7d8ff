// Where a branch's server may have its place outside the store, if the store's path is too long for
// a socket, or its directories are closed to the branch's user. `store` is absolute and without
// symbolic links.
#pragma once

#include <cstdint>
#include <string>

namespace velafs {

// Of root's servers, where only root makes anything.
inline constexpr char kRootsPlaces[] = "/run/velafs";
std::string PlaceOfRoots(const std::string& store, uint64_t branch_id);
// Of others', where anybody may have made it.
std::string PlaceInTmp(const std::string& store, uint64_t branch_id);

}  // namespace velafs
