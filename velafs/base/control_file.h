// Parses global/pg_control of PostgreSQL 9.4 and later.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace velafs {

// PostgreSQL's DBState: the last action of its server.
enum class ClusterState : uint32_t {
  kStarting,
  kShutDown,
  kShutDownInRecovery,  // as a standby
  kShuttingDown,
  kInCrashRecovery,
  kInArchiveRecovery,
  kInProduction,
};

// The bytes of the file that ParseClusterState needs.
constexpr size_t kClusterStateBytes = 20;

// `pg_control` is the beginning of the file. Nothing if it is too short, or the state is not one of
// these.
std::optional<ClusterState> ParseClusterState(std::string_view pg_control);

// The bytes of the file that ParseMinRecoveryEnd needs.
constexpr size_t kRecoveryEndBytes = 144;

// The position up to which WAL must be replayed before the data is consistent: not 0 for the data
// of a standby, and for a copy of it. 0 for an unknown version.
uint64_t ParseMinRecoveryEnd(std::string_view pg_control);

struct CheckpointPlace {
  uint64_t position = 0;  // in the WAL
  uint32_t timeline = 0;
  uint32_t segment_bytes = 0;
};

// The bytes of the file that the two functions below need.
constexpr size_t kWholeControlBytes = 296;

// The place of the last checkpoint. Nothing for versions other than PostgreSQL 12 to 18.
std::optional<CheckpointPlace> ParseCheckpoint(std::string_view pg_control);

// True for a file that is too short for a version number or has 0 there, and for one of PostgreSQL
// 12 to 18 whose checksum does not match its content.
bool IsDamagedControlFile(std::string_view pg_control);

}  // namespace velafs
