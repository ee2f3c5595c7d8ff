// The audit log: the actions on a store, their users and their results.
#pragma once

#include <chrono>
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

// The result of a successful action; other results are the code of a failure.
inline constexpr char kAuditDone[] = "done";

// How much of the log to keep; all without either.
struct AuditLimits {
  std::optional<std::chrono::seconds> keep = {};
  std::optional<uint64_t> max_entries = {};  // that of the trimming included
};

struct AuditTrimmed {
  uint64_t entries = 0;
  catalog::AuditHead last;             // the last one that was removed: the log begins after it
  std::optional<std::string> held_by;  // the destination that has yet to get more old entries
};

// Some of the entries that a destination has not received yet.
struct AuditUnshipped {
  std::vector<catalog::AuditRow> rows;  // oldest first
  catalog::AuditHead last;              // of these rows, or of what it has
};

// The verb of the entries that record a trimming.
inline constexpr char kAuditTrim[] = "audit-trim";

// An entry, with the present time, for an action of `caller` by `verb`.
catalog::AuditRow NewAuditEntry(const Caller& caller, const std::string& verb);
// One more full name to those of an entry.
void AddAuditSubject(std::string* subjects, const std::string& name);

// "N:HASH", as it is shown and noted.
std::string AuditHeadText(const catalog::AuditHead& head);

// Append-only: entries survive the branches that they name; only the oldest are removed, on
// request, and that leaves an entry. Thread-safe.
//
// Each entry's hash covers the entry and the hash of the one before, and the last one's number and
// hash are kept apart. So a change within the log is detected, and a shortened log is detected
// unless that record was changed, too. The beginning of the log is recorded the same way, and also
// in the last entry of a trimming. A user who may write the catalog can forge the whole log: only a
// number and hash noted elsewhere, or entries shipped elsewhere, reveal that.
class AuditLog {
 public:
  // Both are borrowed. On a full disk the log goes on as long as the reserve lasts, except for
  // entries of failed actions.
  AuditLog(catalog::Catalog& catalog, os::SpaceReserve& reserve)
      : catalog_(catalog), reserve_(reserve) {}

  // Adds an entry; its id and hash are given here. Durable on return.
  Status Append(catalog::AuditRow entry);
  // For a failed call of a user who is not an admin, and who could make any number of them: beyond
  // a burst, and one every few minutes, such calls are only counted. The next entry of that user
  // has the number as "folded" in its detail.
  Status AppendFailure(catalog::AuditRow entry);
  // Adds the last of those that are only counted, each user's, once that is allowed again; `now` is
  // the time, or INT64_MAX for all of them.
  Status AppendFolded(TimeNs now);
  // How many there are now, by user id.
  std::map<uint32_t, uint64_t> FoldedFailures();
  Result<std::vector<catalog::AuditRow>> List(const AuditFilter& filter);  // oldest first
  // Reads all of it. Corrupt, naming the first wrong entry, if the chain is broken or does not go
  // through `noted`. NotFound if the noted entry has been trimmed since.
  Result<catalog::AuditHead> Verify(const std::optional<catalog::AuditHead>& noted);
  // The last entry that was trimmed.
  Result<catalog::AuditHead> Begin();

  // Removes the oldest entries beyond the limits, except those that a destination has not received
  // yet, and in the same transaction adds an entry of `caller` that names the last one removed.
  // Does nothing if only entries of earlier trimmings would be removed. Corrupt, with nothing done,
  // if the entries to remove differ from those that were written. A dry run only counts.
  Result<AuditTrimmed> Trim(const Caller& caller, const AuditLimits& limits, TimeNs now,
                            bool dry_run);

  // Some of the entries that the destination does not have: those after `has`, if that is given,
  // else after its mark. Corrupt if the log does not continue from there.
  Result<AuditUnshipped> Unshipped(const std::string& destination,
                                   const std::optional<catalog::AuditHead>& has);
  // The destination has the entries up to `last`. Corrupt when the log has no such entry. A mark
  // does not move back.
  Status MarkShipped(const std::string& destination, const catalog::AuditHead& last);
  // It gets no more entries, and no longer prevents trimming. NotFound if it has no mark.
  Status ForgetDestination(const std::string& destination);
  Result<std::vector<catalog::AuditMark>> Marks();

 private:
  struct Bounds;
  struct OldEntries;
  // The next entries after `after` that are past the bounds, checked; few enough for a transaction.
  Result<OldEntries> FindOld(const catalog::AuditHead& after, const Bounds& bounds);
  Status Remove(const Caller& caller, const OldEntries& old);
  // Gives it the number and the hash that follow.
  static Status Add(catalog::Writer& writer, catalog::AuditRow entry);

  catalog::Catalog& catalog_;
  os::SpaceReserve& reserve_;
  Mutex trim_mutex_;  // held while the log's beginning is read or moved
  Mutex failures_mutex_;
  FailureLimit failures_ GUARDED_BY(failures_mutex_);
};

}  // namespace velafs::store
