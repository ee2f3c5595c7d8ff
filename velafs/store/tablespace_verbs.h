// The verbs on a branch's tablespaces.
#pragma once

#include <string>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/store/caller.h"
#include "velafs/store/verb_types.h"

namespace velafs::store {

struct StoreContext;

// Thread-safe. A verb that returns success is durable.
class TablespaceVerbs {
 public:
  explicit TablespaceVerbs(StoreContext& context) : context_(context) {}

  // By name of the branch's links and directories in pg_tblspc.
  Result<std::vector<Tablespace>> List(const std::string& name);
  // Makes each of them a directory in pg_tblspc; returns the result. The target of a link out of
  // the branch is copied, with the rights of the data's owner only; only that user and root may
  // call it. Refused while a server runs on the branch.
  Result<std::vector<Tablespace>> BringIn(const Caller& caller, const std::string& name);
  // Removes a link that leads out of the branch, to where nothing is. Otherwise as before.
  Result<std::vector<Tablespace>> DropLink(const Caller& caller, const std::string& name,
                                           const std::string& oid);

 private:
  StoreContext& context_;
};

}  // namespace velafs::store
