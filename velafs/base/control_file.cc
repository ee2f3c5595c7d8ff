#include "velafs/base/control_file.h"

#include <bit>
#include <boost/crc.hpp>
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
    case 1300:  // 13 to 16
    case 1700:  // 17
    case 1800:  // 18
      return 136;
    default:
      return 0;
  }
}

// In versions 1201 to 1800 of the file.
constexpr size_t kCheckpointOffset = 32;
constexpr size_t kTimelineOffset = 48;
constexpr size_t kSegmentBytesOffset = 228;

template <typename T>
T ValueAt(std::string_view bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

// Where the checksum of all before it is; 0 for a version of the file that is not known.
size_t ChecksumOffset(uint32_t version) {
  if (version == 1201 || version == 1300 || version == 1700) return 288;
  return version == 1800 ? 292 : 0;
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

std::optional<CheckpointPlace> ParseCheckpoint(std::string_view pg_control) {
  if (pg_control.size() < kWholeControlBytes) return std::nullopt;
  if (ChecksumOffset(ValueAt<uint32_t>(pg_control, kVersionOffset)) == 0) return std::nullopt;
  const CheckpointPlace place{ValueAt<uint64_t>(pg_control, kCheckpointOffset),
                              ValueAt<uint32_t>(pg_control, kTimelineOffset),
                              ValueAt<uint32_t>(pg_control, kSegmentBytesOffset)};
  if (!std::has_single_bit(place.segment_bytes)) return std::nullopt;
  return place;
}

bool IsDamagedControlFile(std::string_view pg_control) {
  if (pg_control.size() < kVersionOffset + sizeof(uint32_t)) return true;
  const auto version = ValueAt<uint32_t>(pg_control, kVersionOffset);
  if (version == 0) return true;
  const size_t checksum = ChecksumOffset(version);
  if (checksum == 0) return false;
  if (pg_control.size() < checksum + sizeof(uint32_t)) return true;
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;
  crc.process_bytes(pg_control.data(), checksum);
  return crc.checksum() != ValueAt<uint32_t>(pg_control, checksum);
}

}  // namespace velafs
