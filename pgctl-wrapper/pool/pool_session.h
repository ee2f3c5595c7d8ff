// The first steps of all commands on pools.
#pragma once

#include <string>

#include "pgctl-wrapper/pool/pool_dir.h"
#include "pgctl-wrapper/server/session.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// A session on the mounted store, in which this process acts as the user whose pools it deals with.
// Root's are those of the user the store runs as.
Result<Session> OpenPoolSession(const std::string& store_option);

struct FoundPool {
  PoolDir dir;
  PoolPlan plan;
};
// The pool of that name, or the only pool of the branch or bookmark of that name. NotFound if there
// is none, or it is being stopped; Refused if there are several.
Result<FoundPool> FindPool(Session& session, const std::string& word);
// The name alone, also of a pool of which little is left.
Result<std::string> FindPoolName(Session& session, const std::string& word);

// A branch or bookmark with the source's present state: the source itself if it is a bookmark, else
// a new bookmark for this pool, or a new clone if the source belongs to another user.
Result<std::string> NewPoolState(Session& session, const std::string& source,
                                 const std::string& pool);
// Deletes all that NewPoolState has made for the pool, except one. Its clones stay.
Status DeletePoolStates(Session& session, const std::string& pool, const std::string& except);

// Has the pool filled by a process of its own.
Status FillInBackground(Session& session, const std::string& pool);

}  // namespace velafs::pgctl
