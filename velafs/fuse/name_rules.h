// Changes of names that are refused to everybody. Only a live server may remove or replace its
// postmaster.pid, and no link in pg_tblspc may lead out of the branch: PostgreSQL would write
// through it into files of other branches, or of production.
#pragma once

#include <sys/types.h>

#include <string_view>

#include "velafs/base/status.h"
#include "velafs/layer/branch.h"
#include "velafs/store/server_registry.h"

namespace velafs::fuse {

// Thread-safe. Each check answers EBUSY or EPERM if the change is refused, and writes a line to the
// log that tells why and what to do instead. `process` is the caller's, as the kernel names it.
class NameRules {
 public:
  explicit NameRules(store::ServerRegistry& servers) : servers_(servers) {}

  // `change` makes the name; a server that makes its postmaster.pid is known from then on.
  Result<layer::Attributes> Make(layer::Branch& branch, InodeNumber directory,
                                 std::string_view name, const layer::NewNode& node, pid_t process);
  Status Remove(layer::Branch& branch, InodeNumber directory, std::string_view name, pid_t process);
  Status Rename(layer::Branch& branch, InodeNumber from, std::string_view from_name, InodeNumber to,
                std::string_view to_name, layer::RenameMode mode, pid_t process);
  Result<layer::Attributes> Link(layer::Branch& branch, InodeNumber ino, InodeNumber directory,
                                 std::string_view name);

 private:
  Status CheckMayRemove(layer::Branch& branch, InodeNumber directory, std::string_view name,
                        pid_t process);

  store::ServerRegistry& servers_;
};

}  // namespace velafs::fuse
