// Arguments and results of the verbs.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/base/units.h"
#include "velafs/store/branch_info.h"

namespace velafs::store {

// What `clone` does if the branch exists.
enum class IfExists {
  kError,
  kReuse,  // leaves it as it is
  kReset,  // resets it to the source's present state
};

// The outcome of a clone.
enum class CloneOutcome { kCreated, kReused, kReset };

struct CloneOptions {
  std::optional<std::chrono::seconds> ttl;
  std::optional<std::string> owner;
  std::map<std::string, std::string> labels;
  std::string note;
  // Under the mount, files are shown as owned by this user, by name or number; nothing is written
  // for that. By default, if root serves the store and the caller is not an admin, they are shown
  // as the caller's, else like the source's. "none": with their real owners for an admin, else like
  // the source's.
  std::optional<std::string> as_user;
  std::optional<uint64_t> quota_bytes;
  // To be thrown away: fsync on it is answered at once. When the daemon or the machine dies, it
  // loses all that was changed since it was made or last frozen.
  bool is_ephemeral = false;
  // Servers on it are kept from the network, by a policy of the branch's own.
  bool is_isolated = false;
  // From the newest bookmark of the source that was made by the end of this second.
  std::optional<TimeNs> at;
  // A branch that is there counts only if the caller may change it and it was cloned from the same
  // source. It gets the lifetime that a new clone would have; the other options are for new ones.
  IfExists if_exists = IfExists::kError;
};

// Which branches to list; all when empty.
struct ListFilter {
  std::optional<std::string> owner;
  std::map<std::string, std::string> labels;  // each of them
  std::optional<BranchState> state;           // kReady or kRunning
};

struct DeleteOptions {
  bool force = false;    // even while a server runs on it
  bool purge = false;    // for good, past the trash
  bool dry_run = false;  // only what it would be refused for
};

struct ResetOptions {
  bool dry_run = false;
  // Keeps the old state as bookmark before-reset-N for as long as the trash keeps branches. An
  // ephemeral branch never gets that bookmark: making its state durable would take long.
  bool keep_state = true;
};

struct ResetResult {
  BranchInfo branch;
  std::string source;                   // the state that it was reset to
  std::optional<std::string> bookmark;  // full name of the old state
  uint64_t lost_bytes = 0;  // own bytes of its old state, now those of the bookmark if it is kept
  std::string refusal;      // of a dry run: why the reset would be refused now, if it would
};

struct PromoteResult {
  BranchInfo target;
  std::string bookmark;  // full name of the target's old state
};

struct ChownResult {
  BranchInfo branch;
  std::string former_owner;
};

struct Purged {
  std::vector<BranchInfo> branches;
  uint64_t freed_bytes = 0;  // of a dry run: the sum of their own bytes
};

struct Expired {
  struct Kept {
    std::string name;
    std::string why;
  };
  std::vector<BranchInfo> branches;  // into the trash
  std::vector<std::string> bookmarks;
  std::vector<std::string> saved;    // bookmarks made of the states of those branches
  std::vector<std::string> stopped;  // branches whose server was ended for that
  std::vector<Kept> kept;            // past their time too, but protected, say
};

struct Schedule {
  std::vector<std::string> made;  // full names of bookmarks
  std::vector<std::string> removed;
  Status failure;  // the first; the rest was done all the same
};

struct ImportProgress {
  uint64_t bytes_done = 0;
  uint64_t bytes_total = 0;
  uint64_t files_done = 0;
  uint64_t files_total = 0;
};
// Called now and then, from one thread at a time; returning false cancels the import.
using ImportProgressFn = std::function<bool(const ImportProgress&)>;

// The treatment of a symbolic link out of the imported directory. Links to PostgreSQL's data and
// configuration are always followed.
enum class LinksOut { kRefuse, kSkip, kFollow };

struct ImportOptions {
  std::string read_as;     // a user; empty: the caller, or for root the directory's owner
  std::string config_dir;  // where the configuration is, absolute; empty: wherever it is found
  LinksOut links = LinksOut::kRefuse;
  bool allow_missing_wal = false;  // of a backup whose WAL is in an archive
};

struct ImportResult {
  BranchInfo branch;
  std::optional<std::string> config_dir;  // where configuration files were taken from
  uint64_t files = 0;
  uint64_t chunks_new = 0;
  uint64_t chunks_shared = 0;  // already stored, or equal to another of this import
  uint64_t bytes_stored = 0;
  std::vector<std::string> warnings;  // e.g. a symbolic link that led out of the directory
};

struct ExportProgress {
  uint64_t bytes_done = 0;
  uint64_t bytes_total = 0;
};
// Called now and then; returning false cancels the export.
using ExportProgressFn = std::function<bool(const ExportProgress&)>;

// Whether an export has setuid and setgid bits of files, and devices. Any user who may write to a
// branch may have made them, and outside of the mount they would take effect.
enum class SpecialFiles { kLeftOut, kKept };

struct ExportResult {
  std::string source;
  uint64_t files = 0;
  uint64_t bytes = 0;             // sum of their sizes
  uint64_t special_left_out = 0;  // files without their setuid and setgid bits, and devices
  uint64_t sockets_left_out = 0;  // and FIFOs
};

// An entry of a branch's pg_tblspc.
enum class TablespaceForm {
  kInside,    // a directory, or a link to one of the branch's
  kOldLink,   // a link to where earlier versions put the directory, in the branch
  kLeadsOut,  // a link out of the branch
};
struct Tablespace {
  std::string oid;
  TablespaceForm form = TablespaceForm::kInside;
  std::string target;  // of a link
};

struct StoreStats {
  uint64_t branches = 0;
  uint64_t bookmarks = 0;
  uint64_t trashed = 0;  // branches in the trash
  uint64_t logical_bytes = 0;
  uint64_t stored_bytes = 0;
  uint64_t chunk_count = 0;
};

// The space of the branches of one owner.
struct OwnerUsage {
  uint64_t branches = 0;
  uint64_t trashed = 0;
  uint64_t own_bytes = 0;  // of both, on disk for each of them alone
  uint64_t names = 0;      // names of files in layers that belong to them alone
};

struct GcResult {
  uint64_t packs_removed = 0;
  uint64_t packs_rewritten = 0;
  uint64_t chunks_removed = 0;
  uint64_t layers_merged = 0;
  uint64_t bytes_freed = 0;
  std::vector<std::string> damaged;  // packs left unchanged, and their faults
};

struct SealResult {
  uint64_t layers = 0;
  uint64_t chunks_new = 0;
  uint64_t chunks_shared = 0;
  uint64_t bytes_stored = 0;  // in packs
  uint64_t bytes_freed = 0;   // of page files; those in use are removed later
};

struct GcProgress {
  uint64_t bytes_done = 0;  // of the packs handled
  uint64_t bytes_total = 0;
};
// As ImportProgressFn.
using GcProgressFn = std::function<bool(const GcProgress&)>;

struct BookmarkInfo {
  std::string name;  // full name, BRANCH@NAME
  std::string branch;
  std::string note;
  TimeNs created_at = 0;
  std::optional<TimeNs> expires_at;
  uint64_t own_bytes = 0;     // on disk for this bookmark alone
  bool is_scheduled = false;  // made by the daemon
};

}  // namespace velafs::store
