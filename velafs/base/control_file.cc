#include "velafs/base/control_file.h"

#include <cstring>

namespace velafs {
namespace {

// After a system identifier (8 bytes) and two version numbers (4 each).
constexpr size_t kStateOffset = 16;

}  // namespace

std::optional<ClusterState> ParseClusterState(std::string_view pg_control) {
  if (pg_control.size() < kClusterStateBytes) return std::nullopt;
  uint32_t state = 0;
  std::memcpy(&state, pg_control.data() + kStateOffset, sizeof state);
  if (state > static_cast<uint32_t>(ClusterState::kInProduction)) return std::nullopt;
  return static_cast<ClusterState>(state);
}

}  // namespace velafs
