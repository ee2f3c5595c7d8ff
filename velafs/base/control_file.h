// What global/pg_control says of a cluster, in PostgreSQL 9.4 and later.
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

}  // namespace velafs
