// One call of a verb, and the verbs by subject. verbs.cc has the table of them.
#pragma once

#include <nlohmann/json.hpp>

#include "velafs/api/arguments.h"
#include "velafs/base/status.h"
#include "velafs/client.h"
#include "velafs/store/caller.h"
#include "velafs/store/store.h"

namespace velafs::api {

struct Call {
  store::Store& store;
  const store::Caller& caller;
  Arguments arguments;
  const ProgressFn& progress;
  const Streams& streams;
};

using Answer = Result<nlohmann::json>;

// verbs_branches.cc
Answer Clone(Call& call);
Answer List(Call& call);
Answer Show(Call& call);
Answer Server(Call& call);
Answer Reset(Call& call);
Answer Promote(Call& call);
Answer Rename(Call& call);
Answer Protect(Call& call);
Answer Unprotect(Call& call);
Answer Label(Call& call);
Answer Note(Call& call);
Answer Chown(Call& call);
Answer Ttl(Call& call);
Answer Quota(Call& call);
Answer AssignPort(Call& call);
Answer PoolPlace(Call& call);

// verbs_delete.cc
Answer Delete(Call& call);

// verbs_trash.cc
Answer Undelete(Call& call);
Answer TrashList(Call& call);
Answer TrashPurge(Call& call);
Answer Gc(Call& call);
Answer Seal(Call& call);
Answer Expire(Call& call);

// verbs_scrub.cc
Answer Scrub(Call& call);

// verbs_counters.cc
Answer Counters(Call& call);

// verbs_audit.cc
Answer AuditList(Call& call);
Answer AuditVerify(Call& call);
Answer AuditTrim(Call& call);
Answer AuditUnshipped(Call& call);
Answer AuditShipped(Call& call);
Answer AuditForget(Call& call);

// verbs_policy.cc
Answer PolicyShow(Call& call);
Answer PolicySet(Call& call);
Answer PolicyApply(Call& call);
Answer PolicyUnset(Call& call);
Answer Approve(Call& call);
Answer Unapprove(Call& call);

// verbs_bookmarks.cc
Answer BookmarkCreate(Call& call);
Answer BookmarkList(Call& call);
Answer BookmarkDelete(Call& call);

// verbs_tablespaces.cc
Answer Tablespaces(Call& call);
Answer TablespacesBringIn(Call& call);
Answer TablespacesDrop(Call& call);

// verbs_transfer.cc
Answer Import(Call& call);
Answer Diff(Call& call);
Answer Export(Call& call);

}  // namespace velafs::api
