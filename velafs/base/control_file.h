// Parses global/pg_control of PostgreSQL 9.4 and later.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace velafs {

// PostgreSQL's DBState: what its server did last.
enum class ClusterState : uint32_t {
  kStarting,
  kShutDown,
  kShutDownInRecovery,  // as a standby
  kShuttingDown,
  kInCrashRecovery,
  kInArchiveRecovery,
  kInProduction,
};

// How many bytes of the file it takes to tell.
constexpr size_t kClusterStateBytes = 20;

// Of what the file begins with. Nothing when it is too short, or the state is none of these.
std::optional<ClusterState> ParseClusterState(std::string_view pg_control);

// How much of the file ParseMinRecoveryEnd takes.
constexpr size_t kRecoveryEndBytes = 144;

// Up to where WAL has to be replayed before the data is consistent: not 0 for what a standby has
// written, and for a copy of it. 0 for a version that is not known.
uint64_t ParseMinRecoveryEnd(std::string_view pg_control);

struct CheckpointPlace {
  uint64_t position = 0;  // in the WAL
  uint32_t timeline = 0;
  uint32_t segment_bytes = 0;
};

// How much of the file the two below take.
constexpr size_t kWholeControlBytes = 296;

// Of the last checkpoint. Nothing for a version other than those of PostgreSQL 12 to 18.
std::optional<CheckpointPlace> ParseCheckpoint(std::string_view pg_control);

// True for a file that is too short for a version number or has 0 there, and for one of PostgreSQL
// 12 to 18 with a checksum that is not that of its content.
bool IsDamagedControlFile(std::string_view pg_control);

}  // namespace velafs
