// The user's verbs on one store. One process at a time has a store open (run/lock).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "velafs/base/mutex.h"
#include "velafs/base/name.h"
#include "velafs/base/status.h"
#include "velafs/catalog/catalog.h"
#include "velafs/chunk/packs.h"
#include "velafs/layer/volume.h"
#include "velafs/os/file_lock.h"
#include "velafs/os/storage.h"
#include "velafs/store/branch_info.h"

namespace velafs::store {

// Who asks, as the kernel says it (SO_PEERCRED, or this process itself).
struct Caller {
  uint32_t uid = 0;
  std::string user;  // name of uid; the number when it has none
};

struct CloneOptions {
  std::optional<std::chrono::seconds> ttl;
  std::optional<std::string> owner;
  std::map<std::string, std::string> labels;
  std::string note;
};

struct ImportProgress {
  uint64_t bytes_done = 0;
  uint64_t bytes_total = 0;
  uint64_t files_done = 0;
  uint64_t files_total = 0;
};
// Called now and then, from one thread at a time; returning false cancels the import.
using ImportProgressFn = std::function<bool(const ImportProgress&)>;

struct ImportResult {
  BranchInfo branch;
  uint64_t files = 0;
  uint64_t chunks_new = 0;
  uint64_t chunks_shared = 0;  // already stored, or equal to another of this import
  uint64_t bytes_stored = 0;
  std::vector<std::string> warnings;  // e.g. a symbolic link that led out of the directory
};

struct StoreStats {
  uint64_t branches = 0;
  uint64_t bookmarks = 0;
  uint64_t logical_bytes = 0;
  uint64_t stored_bytes = 0;
  uint64_t chunk_count = 0;
};

struct BookmarkInfo {
  std::string name;  // full name, BRANCH@NAME
  std::string branch;
  std::string note;
  TimeNs created_at = 0;
};

// Told of branches that come and go under the mount, after the change is durable. Called without
// any lock a verb may wait for; SetMount, though, returns only when no call is under way.
class MountListener {
 public:
  virtual ~MountListener() = default;
  virtual void BranchAdded(const std::string& name) = 0;
  virtual void BranchRemoved(const std::string& name) = 0;
};

// The host paths of a store's parts.
struct StorePaths {
  explicit StorePaths(std::string store_directory) : root(std::move(store_directory)) {}
  std::string root;
  std::string Catalog() const { return root + "/catalog.db"; }
  std::string Packs() const { return root + "/packs"; }
  std::string Layers() const { return root + "/layers"; }
  std::string Run() const { return root + "/run"; }
  std::string Lock() const { return root + "/run/lock"; }
  std::string Socket() const { return root + "/run/api.sock"; }
  std::string Log() const { return root + "/run/velafs.log"; }
  std::string DefaultMountpoint() const { return root + "/mnt"; }
};

// Thread-safe. Every verb that returns success is durable.
//
// Lock order: import_mutex_, verbs_mutex_, then the catalog's and the volume's own; mount_mutex_
// and listener_mutex_ are taken alone.
class Store {
 public:
  // Makes a store in `directory`, which must be missing (its parents are made too) or empty.
  // Durable on return. Exists when it holds one already, Refused when it holds anything else.
  static Status Init(const std::string& directory, os::Storage& storage = os::HostStorage());
  // Takes the store's lock and opens it, with recovery: what an interrupted command left is
  // removed. NotFound when there is no store, Locked (naming the holder's pid) when another process
  // has it.
  static Result<std::unique_ptr<Store>> Open(const std::string& directory,
                                             os::Storage& storage = os::HostStorage());
  ~Store();

  // Makes source branch `name` out of the PGDATA at `directory`, which no server may run on and
  // which is only read. Refused, before anything is stored, when it is no PGDATA, a server runs on
  // it, or it holds what cannot be copied. A failed or cancelled import leaves nothing. One at a
  // time: a second one waits for the first.
  //
  // Left out is what a server makes anew: postmaster.pid, postmaster.opts, what is in pg_stat_tmp,
  // pg_replslot, pg_dynshmem, pg_notify, pg_serial, pg_snapshots, pg_subtrans, and all pgsql_tmp*.
  // No symbolic link of the branch leads out of it: one that did in `directory` is replaced by what
  // it points at, with a warning; a tablespace goes to velafs_tablespaces/<oid> in the branch.
  Result<ImportResult> Import(const Caller& caller, const std::string& name,
                              const std::string& directory, const ImportProgressFn& progress);
  // Makes branch `name` out of what `source`, a branch or a bookmark, is now.
  Result<BranchInfo> Clone(const Caller& caller, const std::string& source, const std::string& name,
                           const CloneOptions& options);
  // Refused when the branch is protected or somebody else's (root and the owner of the process may
  // delete any), and, unless `force`, while a server runs on it.
  Status Delete(const Caller& caller, const std::string& name, bool force);
  Result<std::vector<BranchInfo>> List();  // by name
  Result<BranchInfo> Show(const std::string& name);
  Result<StoreStats> Stats();
  // The port kept for the branch's server: `wanted` when given, else the one kept before, else a
  // free one. Refused when `wanted` is another branch's or in use.
  Result<uint16_t> AssignPort(const std::string& name, std::optional<uint16_t> wanted);

  // `name` is BRANCH@NAME, here and below.
  Result<BookmarkInfo> CreateBookmark(const Caller& caller, const std::string& name,
                                      const std::string& note);
  // Of one branch, or of all: by branch, oldest first.
  Result<std::vector<BookmarkInfo>> ListBookmarks(const std::optional<std::string>& branch);
  Status DeleteBookmark(const Caller& caller, const std::string& name);

  // For the mount: the listener is borrowed until cleared with nullptr, which also means "not
  // mounted".
  void SetMount(std::string mountpoint, MountListener* listener);
  std::optional<std::string> mountpoint() const;
  Result<std::vector<std::string>> BranchNames();
  layer::Volume& volume() { return *volume_; }
  const StorePaths& paths() const { return paths_; }
  // Everything to disk, for a clean end. Nothing but the destructor may follow.
  Status Close();

 private:
  class RunningServers;

  Store(StorePaths paths, os::Storage& storage, os::FileLock lock);
  Status OpenParts();

  // Verbs without the words that say which verb failed.
  Result<ImportResult> RunImport(const Caller& caller, const std::string& name,
                                 const std::string& directory, const ImportProgressFn& progress);
  Status RunClone(const Caller& caller, const SourceRef& source, const std::string& name,
                  const CloneOptions& options);
  Status RunDelete(const Caller& caller, const std::string& name, bool force);
  Result<BookmarkInfo> RunCreateBookmark(const Caller& caller, const SourceRef& bookmark,
                                         const std::string& note);
  Status RunDeleteBookmark(const Caller& caller, const SourceRef& bookmark);

  Result<catalog::BranchRow> FindBranch(const std::string& name);
  Status CheckMayChange(const Caller& caller, const catalog::BranchRow& branch) const;
  // Exists when a branch has the name or an import is making it.
  Status CheckNameIsFree(const std::string& name) REQUIRES(verbs_mutex_);
  // Runs `body` in a transaction; durable on return.
  Status WriteDurably(const std::function<Status(catalog::Writer&)>& body);
  Result<BranchInfo> Describe(const catalog::BranchRow& row, const RunningServers& servers);
  Result<uint16_t> PickPort(const catalog::BranchRow& branch, std::optional<uint16_t> wanted)
      REQUIRES(verbs_mutex_);
  void TellAdded(const std::string& name);
  void TellRemoved(const std::string& name);

  const StorePaths paths_;
  os::Storage& storage_;
  os::FileLock lock_;
  std::unique_ptr<catalog::Catalog> catalog_;
  std::unique_ptr<chunk::PackReader> packs_;
  std::unique_ptr<layer::Volume> volume_;

  Mutex import_mutex_;                              // held by the import under way
  Mutex verbs_mutex_;                               // held by every other changing verb
  std::string importing_ GUARDED_BY(verbs_mutex_);  // name of the branch being imported

  mutable Mutex mount_mutex_;
  std::optional<std::string> mountpoint_ GUARDED_BY(mount_mutex_);
  SharedMutex listener_mutex_;
  MountListener* listener_ GUARDED_BY(listener_mutex_) = nullptr;
};

}  // namespace velafs::store
