// A branch's place outside the branch, for its server's socket, log and generated configuration:
// STORE/run/<id>/, mode 0700, owned by the data's owner. A daemon of root's makes it for a user who
// may not. Where the owner cannot use that, or where a socket path there is too long for the
// kernel: a directory outside the store (velafs/base/server_place.h), owned likewise. The daemon
// removes all of them when it deletes the branch.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "pgctl-wrapper/process/owner.h"
#include "pgctl-wrapper/process/unique_fd.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

struct RunDir {
  std::string path;
  std::string socket_dir;  // `path`, or the directory outside

  std::string Log() const { return path + "/postgres.log"; }
};

// Where the parts are, or would be made. `store` is absolute and without symbolic links.
RunDir RunDirInStore(const std::string& store, uint64_t branch_id);

// True when "DIR/.s.PGSQL.<port>" fits a socket address and libpq can take DIR as a host.
bool IsUsableSocketDir(const std::string& dir);

// The place as last prepared; that in the store when there is none yet.
RunDir FindRunDir(const std::string& store, uint64_t branch_id);
// Makes what is missing. Refused when a directory is there and belongs to somebody else.
Result<RunDir> PrepareRunDir(const std::string& store, uint64_t branch_id, const Owner& owner);
// Removes the branch's place with all in it; of one in a store of another user's, what is in it.
Status RemoveRunDir(const std::string& store, uint64_t branch_id);

// Waits for, then holds the right to start the branch's server, until it is destroyed. Whoever may
// open the directory may keep the right: Locked, naming who has it, when `is_over` says so.
Result<UniqueFd> LockRunDir(const RunDir& run_dir, const std::function<bool()>& is_over);

}  // namespace velafs::pgctl
