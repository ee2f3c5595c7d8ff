#include "velafs/base/control_file.h"

#include <cstring>

namespace velafs {
namespace {

// After a system identifier (8 bytes) and two version numbers (4 each).
constexpr size_t kStateOffset = 16;
constexpr size_t kVersionOffset = 8;

// Where minRecoveryPoint is; 0 for a version of the file that is not known.
size_t RecoveryEndOffset(uint32_t version) {
  switch (version) {
    case 942:   // PostgreSQL 9.4
    case 960:   // 9.6
    case 1002:  // 10
      return 136;
    case 1100:  // 11, without the checkpoint before the last
      return 128;
    case 1201:  // 12, with 64 bits for a transaction id
    case 1300:  // 13 to 17
    case 1800:  // 18
      return 136;
    default:
      return 0;
  }
}

}  // namespace

std::optional<ClusterState> ParseClusterState(std::string_view pg_control) {
  if (pg_control.size() < kClusterStateBytes) return std::nullopt;
  uint32_t state = 0;
  std::memcpy(&state, pg_control.data() + kStateOffset, sizeof state);
  if (state > static_cast<uint32_t>(ClusterState::kInProduction)) return std::nullopt;
  return static_cast<ClusterState>(state);
}

uint64_t ParseMinRecoveryEnd(std::string_view pg_control) {
  if (pg_control.size() < kRecoveryEndBytes) return 0;
  uint32_t version = 0;
  std::memcpy(&version, pg_control.data() + kVersionOffset, sizeof version);
  const size_t offset = RecoveryEndOffset(version);
  uint64_t end = 0;
  if (offset != 0) std::memcpy(&end, pg_control.data() + offset, sizeof end);
  return end;
}

}  // namespace velafs
