// The user's verbs on one store. One process at a time has a store open (run/lock).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "velafs/base/mutex.h"
#include "velafs/base/mutex_by_key.h"
#include "velafs/base/name.h"
#include "velafs/base/status.h"
#include "velafs/base/streams.h"
#include "velafs/catalog/catalog.h"
#include "velafs/chunk/packs.h"
#include "velafs/layer/tree_difference.h"
#include "velafs/layer/volume.h"
#include "velafs/os/file_lock.h"
#include "velafs/os/space_reserve.h"
#include "velafs/os/storage.h"
#include "velafs/store/audit_log.h"
#include "velafs/store/caller.h"
#include "velafs/store/catalog_copies.h"
#include "velafs/store/govern/policies.h"
#include "velafs/store/mount_listener.h"
#include "velafs/store/paths.h"
#include "velafs/store/scrub/scrub.h"
#include "velafs/store/server_registry.h"
#include "velafs/store/turn.h"
#include "velafs/store/verb_types.h"

namespace velafs::layer {
class LayerSealer;
}

namespace velafs::store {

class ImportedLayer;
class Source;

// Thread-safe. Every verb that returns success is durable.
//
// Lock order: packs_turn_, merge_turn_, import_turn_, schedules_mutex_, verbs_mutex_, a mutex of
// freezing_, then the catalog's and the volume's own; mount_mutex_ and listener_mutex_ are taken
// alone.
class Store {
 public:
  // Makes a store in `directory`, which must be missing (its parents are made too) or empty.
  // Durable on return. Exists when it holds one already, Refused when it holds anything else.
  static Status Init(const std::string& directory, os::Storage& storage = os::HostStorage());
  // Takes the store's lock and opens it, with recovery: what an interrupted command left is
  // removed. NotFound when there is none, Unreachable when another user's, Refused when others
  // may write to it, Locked (naming the holder's pid) when another process has it. Corrupt, with
  // nothing changed, when the catalog is missing, damaged, or older than what else is there.
  static Result<std::unique_ptr<Store>> Open(const std::string& directory,
                                             os::Storage& storage = os::HostStorage());
  ~Store();

  // Makes source branch `name` out of the PGDATA at `directory`, which no server may run on and
  // which is only read, with the caller's rights; by root with those of the user who owns it, or of
  // user `options.read_as`. Refused, before anything is stored, when it is no
  // PGDATA, a server runs on it, or it holds what cannot be copied, for one because the caller may
  // not read it. A failed or cancelled import leaves nothing. One at a time: a second one waits for
  // the first, or is cancelled.
  //
  // Where it has no postgresql.conf, the configuration files are taken from `options.config_dir`,
  // or from the directory in /etc/postgresql that is this cluster's; see source_config.h.
  //
  // Left out is what a server makes anew: postmaster.pid, postmaster.opts, what is in pg_stat_tmp,
  // pg_replslot, pg_dynshmem, pg_notify, pg_serial, pg_snapshots, pg_subtrans, and all pgsql_tmp*.
  // Sockets and FIFOs are left out, with a warning. No symbolic link of the branch leads out of it:
  // one that did in `directory` is replaced by what it points at, with a warning, or is left out or
  // refused as `options.links` says. A tablespace becomes a directory in pg_tblspc, also one that
  // the WAL makes; postgresql.auto.conf then allows that. A backup's tablespace_map is left out;
  // Refused when something that it or backup_label names is not there.
  Result<ImportResult> Import(const Caller& caller, const std::string& name,
                              const std::string& directory, const ImportProgressFn& progress,
                              const ImportOptions& options = {});
  // The same of an archive, `archive` by name, whose members come as member_stream.h has them;
  // nothing of it is anywhere but in the store, and in files without names beside it. All files are
  // the caller's, unless that is root: then they are whose the archive says. Refused for a path or
  // link that leads out of the archive, and for one that is there twice. setuid and setgid bits of
  // files are left out.
  Result<ImportResult> ImportArchive(const Caller& caller, const std::string& name,
                                     const std::string& archive, const ReadFn& members,
                                     const ImportProgressFn& progress,
                                     const ImportOptions& options = {});
  // Makes branch `name` out of what `source`, a branch or a bookmark, is now. `outcome`, if given,
  // gets what came of it.
  Result<BranchInfo> Clone(const Caller& caller, const std::string& source, const std::string& name,
                           const CloneOptions& options, CloneOutcome* outcome = nullptr);
  // Each verb that changes a branch is refused to all but its owner, root and the owner of the
  // process. "Running" is said of a branch on which a server runs.
  //
  // Into the trash, with its bookmarks; its name is free again. Refused when it is protected, or,
  // unless forced, running. Returns what it was.
  Result<BranchInfo> Delete(const Caller& caller, const std::string& name,
                            const DeleteOptions& options);
  // The branch deleted last under that name comes back, as `new_name` when given. It has its port
  // unless that was given to another, and never expires if its time has passed.
  Result<BranchInfo> Undelete(const Caller& caller, const std::string& name,
                              const std::optional<std::string>& new_name);
  Result<std::vector<BranchInfo>> ListTrash();  // the latest first
  // For good, one after the other: what of the caller's has been in the trash for longer than
  // `older_than`, if given.
  Result<Purged> PurgeTrash(const Caller& caller, std::optional<std::chrono::seconds> older_than,
                            bool dry_run);

  // The branch becomes what `source` is now; by default what it was cloned from. It stays the same
  // branch: name, port, owner and the rest; its bookmarks stay too. Refused when it is running
  // (a dry run only says so) or protected. Its old state stays as a bookmark, unless the options
  // say otherwise.
  Result<ResetResult> Reset(const Caller& caller, const std::string& name,
                            const std::optional<std::string>& source, const ResetOptions& options);
  // `target` becomes what `name` is now; what it was stays as a bookmark of it,
  // before-promote-N. Refused when either is running or the target protected.
  Result<PromoteResult> Promote(const Caller& caller, const std::string& name,
                                const std::string& target, bool dry_run);
  // Refused while it is running: its path changes.
  Result<BranchInfo> Rename(const Caller& caller, const std::string& name,
                            const std::string& new_name);

  Result<BranchInfo> Protect(const Caller& caller, const std::string& name,
                             std::optional<std::chrono::seconds> duration);
  Result<BranchInfo> Unprotect(const Caller& caller, const std::string& name);
  Result<BranchInfo> ChangeLabels(const Caller& caller, const std::string& name,
                                  const std::map<std::string, std::string>& set,
                                  const std::vector<std::string>& remove);
  Result<BranchInfo> SetNote(const Caller& caller, const std::string& name,
                             const std::string& note);
  // Only an admin gives a branch to somebody else, who gets no more than policies allow him. What
  // its owner so far had open of it is no longer his.
  Result<ChownResult> SetOwner(const Caller& caller, const std::string& name,
                               const std::string& owner);
  // How much the branch may take on disk beyond what it began with; any when empty. A user gives no
  // more than the policy does.
  Result<BranchInfo> SetQuota(const Caller& caller, const std::string& name,
                              std::optional<uint64_t> bytes);
  // From now on; never when empty.
  Result<BranchInfo> SetTtl(const Caller& caller, const std::string& name,
                            std::optional<std::chrono::seconds> ttl);

  // Deletes what of the caller's is past its expiry and not protected: branches into the trash,
  // bookmarks for good. A server that runs on such a branch is ended first, which takes up to 20
  // seconds for all of them; where the policy expire_running is "keep", or it does not end, the
  // branch is kept. Where the policy on_expire is "bookmark", what a branch was
  // stays as a bookmark of its parent, expired-NAME, if its owner may change the parent. That
  // bookmark is none of the parent's own states: an approval of the parent does not cover it, and
  // CloneOptions::at passes it by.
  Result<Expired> Expire(const Caller& caller, bool dry_run, TimeNs now = NowNs());
  // Makes the bookmarks that the policy bookmark_every asks for, and deletes those of an earlier
  // time that bookmark_keep no longer does, but not what is approved or a branch was cloned from. A
  // branch that has not changed gets none.
  Result<Schedule> KeepSchedules(const Caller& caller, TimeNs now);

  // Holds back the branches of owners who have used up what the policy quota_per_owner gives them,
  // and lets go of the others. To be run every now and then.
  Status EnforceOwnerQuotas();

  // Of a branch, or of the store. "source" stands for the tree of branch `name`.
  Result<std::vector<PolicyValue>> ShowPolicies(const std::optional<std::string>& name);
  // `place` is "store", "source" or "branch"; a key without a value is unset.
  Result<std::vector<PolicyValue>> SetPolicies(
      const std::string& place, const std::optional<std::string>& name,
      const std::map<std::string, std::optional<std::string>>& values);
  // What the policies audit_keep and audit_max_entries say.
  AuditLimits AuditPolicy() const;
  // Makes what is set at each of these places, and at no other, just what is said there; all of it
  // or nothing. Returns what changes.
  Result<std::vector<PolicyChange>> ApplyPolicies(const std::vector<PolicyPlan>& plans,
                                                  bool dry_run);
  // Of a branch, which is of the bookmarks of its own states too, or of a bookmark: users may clone
  // it, whose ever it is.
  Status SetApproved(const std::string& source, bool approved);

  Result<std::vector<BranchInfo>> List(const ListFilter& filter = {});  // by name
  // By id of a branch, how many branches were cloned from it that are not in the trash.
  Result<std::map<uint64_t, uint64_t>> CloneCounts();
  Result<BranchInfo> Show(const std::string& name);
  Result<StoreStats> Stats();
  // By owner, of all branches.
  Result<std::map<std::string, OwnerUsage>> UsageByOwner();
  // The port kept for the branch's server: `wanted` when given, else the one kept before, else a
  // free one. Refused when `wanted` is another branch's or in use.
  Result<uint16_t> AssignPort(const Caller& caller, const std::string& name,
                              std::optional<uint16_t> wanted);

  // `name` is BRANCH@NAME, here and below.
  Result<BookmarkInfo> CreateBookmark(const Caller& caller, const std::string& name,
                                      const std::string& note,
                                      std::optional<std::chrono::seconds> keep = {});
  // Of one branch, or of all: by branch, oldest first.
  Result<std::vector<BookmarkInfo>> ListBookmarks(const std::optional<std::string>& branch);
  Status DeleteBookmark(const Caller& caller, const std::string& name);

  // Gives back the space of chunks that no branch, bookmark or deleted branch uses. Branches are
  // used and changed meanwhile; imports wait. `dry_run` only says what it would free. `progress` is
  // also asked while layers are merged, and while somebody else's work has to end first.
  Result<GcResult> CollectGarbage(const Caller& caller, bool dry_run, const GcProgressFn& progress);

  // Merges layers that nothing needs for themselves any more; see layer::LayerMerger. One
  // pair; the space freed, or nothing when there was none. Everything goes on meanwhile.
  Result<std::optional<uint64_t>> MergeLayers(const std::function<bool()>& go_on);
  // Seals all layers frozen longer ago than that, after merging; see layer::LayerSealer. All
  // goes on meanwhile; imports wait for some seconds at a time.
  Result<SealResult> Seal(const Caller& caller, std::chrono::seconds older_than,
                          const std::function<bool()>& go_on);
  // One layer, frozen before that time; nothing when there was none.
  enum class Pace { kFull, kGentle };  // the disk and processors are others' half of the time
  Result<std::optional<SealResult>> SealLayer(TimeNs frozen_before, Pace pace,
                                              const std::function<bool()>& go_on);
  // Another one when anything but file content may have changed.
  catalog::CommitSequence LastChange() const { return catalog_->LastCommit(); }

  // What differs from `a` to `b`, each a branch as it is now or a bookmark. See
  // layer::CompareTrees.
  Result<std::vector<layer::FileDifference>> Diff(
      const std::string& a, const std::string& b,
      const std::function<bool()>& go_on = [] { return true; });

  // By name of the branch's links and directories in pg_tblspc.
  Result<std::vector<Tablespace>> Tablespaces(const std::string& name);
  // Makes each of them a directory in pg_tblspc; returns what there is then. What a link leads to
  // outside of the branch is copied, with the rights of the data's owner and no others; only he and
  // root may have that done. Refused while the branch is running.
  Result<std::vector<Tablespace>> BringInTablespaces(const Caller& caller, const std::string& name);
  // Removes a link that leads out of the branch, to where nothing is. Otherwise as before.
  Result<std::vector<Tablespace>> DropTablespaceLink(const Caller& caller, const std::string& name,
                                                     const std::string& oid);

  // Writes what `source` is now as a tar archive; see WriteTar. A branch may be in use: it is
  // frozen once, as for a clone, and runs on. Refused to who may not clone it, and for a
  // tablespace that leads out of the branch. What was written before a failure is part of an
  // archive.
  Result<ExportResult> Export(const Caller& caller, const std::string& source, const WriteFn& sink,
                              const ExportProgressFn& progress,
                              SpecialFiles special = SpecialFiles::kLeftOut);

  // Looks for damage while the store is in use, and with `repair` mends what can be: see scrub.h.
  Result<ScrubReport> Scrub(const ScrubOptions& options, const ScrubProgressFn& progress);

  // For the mount, at a path without links, as the kernel names it: the listener is borrowed until
  // cleared with nullptr, which also means "not mounted".
  void SetMount(std::string mountpoint, MountListener* listener);
  std::optional<std::string> mountpoint() const;
  Result<std::vector<std::string>> BranchNames();
  // Those that a user may know of: all for whoever may `list`, else those of branches that are his,
  // or shown as his. The role is looked up.
  Result<std::vector<std::string>> NamesShownTo(const Caller& caller);
  layer::Volume& volume() { return *volume_; }
  AuditLog& audit_log() { return *audit_log_; }
  Policies& policies() { return *policies_; }
  ServerRegistry& servers() { return servers_; }
  // The life that the branch is in, and a process of the server that runs on it now. Counts
  // nothing: cheaper than Show.
  struct BranchServer {
    InstanceId instance;
    std::optional<ServerRegistry::Process> process;
  };
  Result<BranchServer> ServerOn(const std::string& name);
  // Refused, naming the branches, while a server runs on any.
  Status CheckNoServers();
  // Ends all servers by a fast shutdown, and after `patience` by an immediate one. Notes which ran.
  // One that does not end is still there on return, and is in the log.
  Status StopServers(std::chrono::seconds patience);
  // The servers that policy autostart wants started now that the daemon is there. What StopServers
  // noted is forgotten.
  struct ServersToStart {
    std::vector<std::string> surely;
    std::vector<std::string>
        if_marked;  // those whose branch has a postmaster.pid: they were cut off
  };
  Result<ServersToStart> TakeServersToStart();
  // The directory of the caller's pools (pgctl-wrapper/pool/pool_dir.h). Made, and given to him,
  // where he may make nothing in the store. Refused where this process could not give it to him.
  Result<std::string> PoolPlace(const Caller& caller);
  const StorePaths& paths() const { return paths_; }
  // Ephemeral branches that were not closed cleanly, and have lost their changes with this opening.
  const std::vector<std::string>& ephemerals_reset() const { return ephemerals_reset_; }
  // From now on the catalog is copied now and then, until Close.
  void KeepCatalogCopies();
  // Everything to disk, for a clean end. Nothing but the destructor may follow.
  Status Close();

 private:
  Store(StorePaths paths, os::Storage& storage, os::FileLock lock);
  Status OpenParts();
  // Corrupt when something in the store has a later id than the catalog has given.
  Status CheckCatalogIsLatest();
  // Puts ephemeral branches that were not closed cleanly back to what they were last frozen as.
  Status ResetEphemerals();

  struct Origin;

  // Verbs without the words that say which verb failed.
  Status SealSome(layer::LayerSealer& sealer, const std::function<bool()>& go_on,
                  SealResult* result);
  // Begins the layer, and may store content in it.
  using FindSourceFn = std::function<Result<Source>(ImportedLayer& layer)>;
  Result<ImportResult> ImportFrom(const Caller& caller, const std::string& name,
                                  const std::string& from, const FindSourceFn& find,
                                  const ImportProgressFn& progress);
  Result<ImportResult> RunImport(const Caller& caller, const std::string& name,
                                 const FindSourceFn& find, const ImportProgressFn& progress);
  // Until this returns, nobody knows of the branch.
  Result<catalog::CommitSequence> FillAndPublish(const Caller& caller, const std::string& name,
                                                 ImportedLayer& layer, const FindSourceFn& find,
                                                 const ImportProgressFn& progress,
                                                 ImportResult* result);
  Status RunClone(const Caller& caller, const SourceRef& source, const std::string& name,
                  const CloneOptions& options);
  // Visible on return, not yet durable.
  Result<catalog::CommitSequence> CommitClone(const Caller& caller, const SourceRef& source,
                                              const std::string& name, const CloneOptions& options);
  // The row of a new clone of `from`, which stands on nothing yet. Refused if the caller may not
  // make that branch.
  Result<catalog::BranchRow> PlanClone(const Caller& caller, const Origin& from,
                                       const std::string& name, const CloneOptions& options)
      REQUIRES_SHARED(verbs_mutex_);
  // Syncs what branch `source` has yet to sync, if the caller may take its state: so that a verb
  // that then freezes the branch holds up others only briefly. Best effort: the freeze syncs what
  // is left, and returns the failure.
  void SyncAhead(const Caller& caller, const SourceRef& source);
  // The branch that is there instead of a new clone: see CloneOptions::if_exists.
  Status TakeExisting(const Caller& caller, const SourceRef& source, const std::string& name,
                      const CloneOptions& options);
  // With `saved`, what the branch was stays as that bookmark; in the same transaction.
  Result<BranchInfo> RunDelete(const Caller& caller, const std::string& name,
                               const DeleteOptions& options,
                               const catalog::BookmarkRow* saved = nullptr) REQUIRES(verbs_mutex_);
  // Makes the state of a head whose branch's life ends that bookmark; returns the bookmark's layer.
  static Result<LayerId> BookmarkEnded(catalog::Writer& writer, const layer::EndedHead& head,
                                       catalog::BookmarkRow bookmark);
  Status RunUndelete(const Caller& caller, const std::string& name, const std::string& new_name);
  Result<Purged> RunPurgeTrash(const Caller& caller, std::optional<TimeNs> deleted_before,
                               bool dry_run);
  Result<ResetResult> RunReset(const Caller& caller, const std::string& name,
                               const std::optional<std::string>& source,
                               const ResetOptions& options);
  // Gives the branch a new head on the origin's state, with `change` made to its row, and keeps its
  // old state as that bookmark, if given.
  Status ResetTo(const catalog::BranchRow& branch, const Origin& origin,
                 const std::optional<catalog::BookmarkRow>& kept,
                 const std::function<void(catalog::BranchRow&)>& change) REQUIRES(verbs_mutex_);
  // The bookmark before-reset-N that a reset of the branch makes.
  Result<catalog::BookmarkRow> BeforeReset(const Caller& caller, const catalog::BranchRow& branch,
                                           const std::string& source);
  Result<PromoteResult> RunPromote(const Caller& caller, const std::string& name,
                                   const std::string& target, bool dry_run);
  Status RunRename(const Caller& caller, const std::string& name, const std::string& new_name);
  Result<BookmarkInfo> RunCreateBookmark(const Caller& caller, const SourceRef& bookmark,
                                         const std::string& note,
                                         std::optional<std::chrono::seconds> keep);
  // Visible on return, not yet durable.
  Result<catalog::CommitSequence> CommitBookmark(const Caller& caller, const SourceRef& bookmark,
                                                 const std::string& note,
                                                 std::optional<std::chrono::seconds> keep,
                                                 BookmarkInfo* info);
  Status RunDeleteBookmark(const Caller& caller, const SourceRef& bookmark);
  Status RemoveBookmark(BranchId branch, const std::string& name) REQUIRES(verbs_mutex_);
  Status ExpireBranches(const Caller& caller, bool dry_run, TimeNs now, Expired* expired);
  Status ExpireBookmarks(const Caller& caller, bool dry_run, TimeNs now, Expired* expired);
  // Refused when the branch stays whatever its time is.
  Status CheckMayExpire(const catalog::BranchRow& branch);
  void StopExpired(const std::vector<catalog::BranchRow>& past, Expired* expired);
  // Deletes a branch whose time has passed, saving it first if that is asked for.
  Result<BranchInfo> ExpireBranch(const Caller& caller, const catalog::BranchRow& branch,
                                  bool dry_run, Expired* expired) REQUIRES(verbs_mutex_);
  Status MakeScheduled(const Caller& caller, const catalog::BranchRow& branch,
                       const std::vector<catalog::BookmarkRow>& bookmarks, TimeNs now,
                       Schedule* done) REQUIRES(schedules_mutex_);
  Status ThinOutScheduled(const catalog::BranchRow& branch,
                          const std::vector<catalog::BookmarkRow>& bookmarks,
                          const std::set<BookmarkId>& origins, TimeNs now, Schedule* done);

  Result<catalog::BranchRow> FindBranch(const std::string& name);
  Result<std::vector<catalog::BranchRow>> Branches();
  // And those in the trash.
  Result<std::vector<catalog::BranchRow>> AllBranches();
  // NotFound when the branch has none of that name.
  Result<catalog::BookmarkRow> FindBookmark(const catalog::BranchRow& branch,
                                            const std::string& name);
  // NotFound, with the nearest name of a bookmark of that branch in its hint.
  Status NoBookmark(const catalog::BranchRow& branch, const std::string& name);
  // The newest that was made by the end of the second `at` is in.
  Result<catalog::BookmarkRow> FindBookmarkAt(const catalog::BranchRow& branch, TimeNs at);
  // A branch, and maybe a bookmark of it, to take a state from.
  struct Origin {
    catalog::BranchRow branch;
    std::optional<catalog::BookmarkRow> bookmark;
    InodeNumber root() const { return bookmark ? bookmark->root : branch.root; }
    std::string ToString() const;
  };
  Result<Origin> FindOrigin(const SourceRef& source);
  // What the branch was cloned from, as far as it is still there.
  Result<Origin> FindParent(const catalog::BranchRow& branch);
  // The frozen layer that is the origin's state now. It lasts while verbs_mutex_ is held.
  Result<LayerId> FreezeOrigin(const Origin& origin) REQUIRES_SHARED(verbs_mutex_);
  // Gives the row a new head on `state`, of the tree with that root, and a new instance.
  static Status StandOn(catalog::Writer& writer, LayerId state, InodeNumber root,
                        catalog::BranchRow* row);
  static Status RemoveServerFiles(catalog::Writer& writer, LayerId state, InodeNumber root,
                                  LayerId head);
  // Finds the branch, lets `change` change the row, and describes what came of it.
  Result<BranchInfo> ChangeRow(const Caller& caller, const std::string& verb,
                               const std::string& name,
                               const std::function<Status(catalog::BranchRow&)>& change);
  Result<std::vector<layer::FileDifference>> RunDiff(const SourceRef& a, const SourceRef& b,
                                                     const std::function<bool()>& go_on);
  // A layer that keeps a state for as long as it is needed; it goes by itself when the process
  // dies.
  struct HeldState {
    LayerId layer;
    InodeNumber root;
    std::string name;
  };
  Result<HeldState> Hold(const Caller& caller, const SourceRef& source);
  Status Release(const HeldState& state);
  Result<ExportResult> RunExport(const HeldState& state, const WriteFn& sink,
                                 const ExportProgressFn& progress, SpecialFiles special);
  Result<std::vector<Tablespace>> MendTablespaces(
      const Caller& caller, const std::string& name,
      const std::function<Status(layer::Branch&)>& mend);
  Result<PolicyPlace> FindPlace(const std::string& place, const std::optional<std::string>& name);
  Status CheckMayTake(const Caller& caller, const Origin& origin) const;
  // What the policies of branch `of` have against another branch of that name, or of that owner.
  Status CheckNamePolicy(const std::string& name, const catalog::BranchRow& of) const;
  Status CheckBranchPolicies(const std::string& owner, const catalog::BranchRow& of);
  // Of `branches`, all there are: whether there may be one more, and whether the owner may have it.
  Status CheckBranchCounts(const std::string& owner, const catalog::BranchRow& of,
                           const std::vector<catalog::BranchRow>& branches) const;
  Status CheckOwnerCount(const std::string& owner, const catalog::BranchRow& of,
                         const std::vector<catalog::BranchRow>& branches) const;
  bool HasBranchLimits(const catalog::BranchRow& of) const;
  // What they have against that owner's having that branch, which is there, and another's.
  Status CheckMayOwn(const std::string& owner, const catalog::BranchRow& branch);
  // Whether the owner may have another branch, which takes `more_bytes`.
  Status CheckOwnerQuota(const std::string& owner, const catalog::BranchRow& of,
                         uint64_t more_bytes);
  // The lifetime of a clone of `of` that asks for `ttl`, or nothing; refused when it is too long.
  Result<std::optional<std::chrono::seconds>> CloneTtl(
      const std::optional<std::chrono::seconds>& ttl, const catalog::BranchRow& of) const;
  Status CheckTtlPolicy(const std::optional<std::chrono::seconds>& ttl,
                        const catalog::BranchRow& of) const;
  Status CheckMayChange(const Caller& caller, const catalog::BranchRow& branch) const;
  Status CheckNotRunning(const catalog::BranchRow& branch);
  Result<std::vector<catalog::BranchRow>> BranchesWithServers();
  // Exists when a branch has the name or an import is making it.
  Status CheckNameIsFree(const std::string& name) REQUIRES_SHARED(verbs_mutex_);
  // Runs `body` in a transaction; durable on return.
  Status WriteDurably(const std::function<Status(catalog::Writer&)>& body);
  BranchInfo Describe(const catalog::BranchRow& row, const layer::SpaceUsage& usage);
  // Each as Describe has it.
  Result<std::vector<BranchInfo>> DescribeAll(const std::vector<catalog::BranchRow>& rows);
  Result<BranchInfo> DescribeOne(const catalog::BranchRow& row);
  Result<uint16_t> PickPort(const catalog::BranchRow& branch, std::optional<uint16_t> wanted)
      REQUIRES(verbs_mutex_);
  // The quota that the caller may give a branch; by default the one of the policy.
  Result<std::optional<uint64_t>> CloneQuota(const Caller& caller, std::optional<uint64_t> wanted,
                                             const catalog::BranchRow& of) const;
  Status CheckQuotaPolicy(const Caller& caller, std::optional<uint64_t> wanted,
                          const catalog::BranchRow& of) const;
  // By owner, what is on disk for each one's branches alone.
  Result<std::map<std::string, uint64_t>> UsageOfOwners(
      const std::vector<catalog::BranchRow>& branches);
  Result<std::optional<catalog::FileOwner>> ShownAs(const Caller& caller,
                                                    const CloneOptions& options) const;
  void TellAdded(const std::string& name);
  void TellRemoved(const std::string& name);

  const StorePaths paths_;
  os::Storage& storage_;
  os::FileLock lock_;
  os::SpaceReserve reserve_;
  std::unique_ptr<catalog::Catalog> catalog_;
  std::unique_ptr<AuditLog> audit_log_;
  std::unique_ptr<Policies> policies_;
  std::unique_ptr<chunk::PackReader> packs_;
  std::unique_ptr<layer::Volume> volume_;
  ServerRegistry servers_;
  std::vector<std::string> ephemerals_reset_;
  std::unique_ptr<CatalogCopyKeeper> copies_;

  Turn packs_turn_;   // of what looks at all packs, and of what moves chunks between them
  Turn merge_turn_;   // of the merge, or sealing, of layers under way
  Turn import_turn_;  // of what stores chunks, or collects those that nothing uses
  // Held by every other changing verb: shared by those that make a branch or bookmark of a state,
  // and leave all else as it is; by the others alone.
  SharedMutex verbs_mutex_;
  MutexByKey<BranchId> freezing_;  // held to freeze a branch while verbs_mutex_ is shared
  std::string importing_ GUARDED_BY(verbs_mutex_);  // name of the branch being imported

  Mutex schedules_mutex_;  // held by KeepSchedules
  // When a branch was last looked at for a bookmark by schedule.
  std::map<BranchId, TimeNs> looked_at_ GUARDED_BY(schedules_mutex_);

  mutable Mutex mount_mutex_;
  std::optional<std::string> mountpoint_ GUARDED_BY(mount_mutex_);
  SharedMutex listener_mutex_;
  MountListener* listener_ GUARDED_BY(listener_mutex_) = nullptr;
};

}  // namespace velafs::store
