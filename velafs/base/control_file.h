// What global/pg_control says of a cluster, in every version of PostgreSQL.
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

}  // namespace velafs
