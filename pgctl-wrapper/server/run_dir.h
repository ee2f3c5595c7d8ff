// A branch's place outside the branch, for its server's socket, log and generated configuration:
// STORE/run/<id>/, mode 0700, owned by the data's owner. Root's daemon makes it for users who
// cannot. If the owner cannot use it, or if a socket path in it is too long for the kernel, a
// directory outside the store (velafs/base/server_place.h) is used, with the same owner. The daemon
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

// The directory as last prepared; the one in the store if none was prepared yet.
RunDir FindRunDir(const std::string& store, uint64_t branch_id);
// Makes missing directories. Refused if one exists and belongs to another user.
Result<RunDir> PrepareRunDir(const std::string& store, uint64_t branch_id, const Owner& owner);
// Removes the directory with its content; in another user's store, only the content.
Status RemoveRunDir(const std::string& store, uint64_t branch_id);

// Waits for, then holds the right to start the branch's server, until it is destroyed. Everybody
// who may open the directory can hold the right for ever: Locked, naming the holder, once `is_over`
// says so.
Result<UniqueFd> LockRunDir(const RunDir& run_dir, const std::function<bool()>& is_over);

}  // namespace velafs::pgctl
