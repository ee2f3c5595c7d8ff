// What all commands on pools begin with.
#pragma once

#include <string>

#include "pgctl-wrapper/pool_dir.h"
#include "pgctl-wrapper/session.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// A session on the mounted store, in which this process acts as the user the store runs as: pools
// are his, and a plan of his names programs to run. Only he and root may do that.
Result<Session> OpenPoolSession(const std::string& store_option);

struct FoundPool {
  PoolDir dir;
  PoolPlan plan;
};
// The pool of that name, or the one that is of the branch or bookmark of that name. NotFound when
// there is none, or it is being stopped; Refused when several are of it.
Result<FoundPool> FindPool(const Session& session, const std::string& word);
// The name alone, also of a pool of which little is left.
Result<std::string> FindPoolName(Session& session, const std::string& word);

// The bookmark that has the source's present state: the source itself, or a new one for this pool.
Result<std::string> NewPoolState(Session& session, const std::string& source,
                                 const std::string& pool);
// Deletes the bookmarks that were made for the pool, except one. Its clones stay.
Status DeletePoolStates(Session& session, const std::string& pool, const std::string& except);

// Has the pool filled by a process of its own.
Status FillInBackground(const Session& session, const std::string& pool);

}  // namespace velafs::pgctl
