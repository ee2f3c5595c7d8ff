// The audit log: what was done to a store, by whom, and what came of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "velafs/base/mutex.h"
#include "velafs/base/status.h"
#include "velafs/base/units.h"
#include "velafs/catalog/catalog.h"
#include "velafs/os/space_reserve.h"
#include "velafs/store/caller.h"
#include "velafs/store/failure_limit.h"

namespace velafs::store {

// Which entries to list; all when empty.
struct AuditFilter {
  std::optional<TimeNs> since = {};
  std::optional<std::string> user = {};
  std::optional<std::string> verb = {};
  std::optional<std::string> branch = {};  // as a subject or the source, or a bookmark of it
  uint64_t limit = 0;                      // only the last so many; 0: all
};

// The result of an entry of what was done; others are the code of a failure.
inline constexpr char kAuditDone[] = "done";

// An entry, as of now, of what `caller` has done by `verb`.
catalog::AuditRow NewAuditEntry(const Caller& caller, const std::string& verb);
// One more full name to those of an entry.
void AddAuditSubject(std::string* subjects, const std::string& name);

// Append-only: entries survive what they speak of. Thread-safe.
//
// Each entry's hash covers the entry and the hash of the one before, and the last one's number and
// hash are kept apart. So a change within the log shows, and one that shortens it shows unless that
// record was changed along with it. Whoever may write the catalog can make all of it anew: only
// a number and hash noted elsewhere tells of that.
class AuditLog {
 public:
  // Both are borrowed. On a full disk the log goes on as long as the reserve
  // lasts, but for entries of what failed.
  AuditLog(catalog::Catalog& catalog, os::SpaceReserve& reserve)
      : catalog_(catalog), reserve_(reserve) {}

  // Adds an entry; its id and hash are given here. Durable on return.
  Status Append(catalog::AuditRow entry);
  // One of a failed call of somebody who is no admin, and who could make any number of them: beyond
  // a burst, and one every few minutes, they are counted only. The next entry of that user has the
  // number as "folded" in its detail.
  Status AppendFailure(catalog::AuditRow entry);
  // Adds the last of those that are only counted, each user's, once that is allowed again; `now` is
  // the time, or INT64_MAX for all of them.
  Status AppendFolded(TimeNs now);
  // How many there are now, by user id.
  std::map<uint32_t, uint64_t> FoldedFailures();
  Result<std::vector<catalog::AuditRow>> List(const AuditFilter& filter);  // oldest first
  // Reads all of it. Corrupt, naming the first entry that is wrong, when the chain is broken, or
  // when it does not go through `noted`.
  Result<catalog::AuditHead> Verify(const std::optional<catalog::AuditHead>& noted);

 private:
  catalog::Catalog& catalog_;
  os::SpaceReserve& reserve_;
  Mutex failures_mutex_;
  FailureLimit failures_ GUARDED_BY(failures_mutex_);
};

}  // namespace velafs::store
