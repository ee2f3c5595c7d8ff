#include "velafs/base/server_place.h"

#include <cstdio>
#include <string_view>

namespace velafs {
namespace {

// FNV-1a: the same in every build, unlike std::hash.
std::string NameOf(std::string_view store, uint64_t branch_id) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : store) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  char hex[17];
  std::snprintf(hex, sizeof hex, "%016llx", static_cast<unsigned long long>(hash));
  return std::string(hex) + "-" + std::to_string(branch_id);
}

}  // namespace

std::string PlaceOfRoots(const std::string& store, uint64_t branch_id) {
  return std::string(kRootsPlaces) + "/" + NameOf(store, branch_id);
}

std::string PlaceInTmp(const std::string& store, uint64_t branch_id) {
  return "/tmp/velafs-" + NameOf(store, branch_id);
}

}  // namespace velafs
