// The verbs' description of a branch, behind `show`, `list` and `clone`.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "velafs/base/named_values.h"
#include "velafs/base/units.h"

namespace velafs::store {

enum class BranchState {
  kReady,
  kRunning,  // a server runs on it
  kDeleted,  // it is in the trash
};
inline constexpr std::array kBranchStates = {
    NamedValue<BranchState>{BranchState::kReady, "ready"},
    NamedValue<BranchState>{BranchState::kRunning, "running"},
    NamedValue<BranchState>{BranchState::kDeleted, "deleted"},
};

struct BranchInfo {
  std::string name;
  std::optional<std::string> path;    // under the mount; empty when not mounted
  std::optional<std::string> parent;  // its name now, or when it was deleted
  std::optional<uint64_t> parent_id;
  std::optional<std::string> parent_bookmark;  // full name, BRANCH@NAME
  std::string owner;
  BranchState state = BranchState::kReady;
  std::optional<pid_t> server_pid;  // its postmaster's, in the daemon's PID namespace
  std::optional<pid_t> orphan_pid;  // or, where that is dead, one of its backends'
  TimeNs created_at = 0;
  std::optional<TimeNs> expires_at;
  bool is_protected = false;
  std::optional<TimeNs> protected_until;  // of one that is protected; empty: until it is lifted
  std::map<std::string, std::string> labels;
  std::string note;
  uint64_t own_bytes = 0;      // on disk for this branch alone: freed by deleting it
  uint64_t logical_bytes = 0;  // sum of its files' sizes
  std::optional<uint16_t> port;
  std::optional<TimeNs> deleted_at;  // in the trash since then
  std::optional<uint64_t> quota_bytes;
  std::optional<std::string> shown_as;    // user that its files are shown to belong to
  std::optional<std::string> data_owner;  // user they belong to, then; only of one that is shown
  bool is_ephemeral = false;              // see CloneOptions
  uint64_t instance = 0;                  // another one after each reset or promotion onto it
  uint64_t id = 0;  // BranchId: names run/<id>/, the branch's place for sockets and logs
};

}  // namespace velafs::store
