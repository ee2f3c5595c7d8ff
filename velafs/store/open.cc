// Making a store, and taking hold of it.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/filesystem.hpp>
#include <cerrno>
#include <climits>
#include <cstdlib>

#include "velafs/catalog/catalog.h"
#include "velafs/chunk/packs.h"
#include "velafs/layer/layer_recovery.h"
#include "velafs/layer/volume.h"
#include "velafs/store/audit_log.h"
#include "velafs/store/bookmark_verbs.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/catalog_copies.h"
#include "velafs/store/govern/govern_verbs.h"
#include "velafs/store/govern/policies.h"
#include "velafs/store/govern/usage_verbs.h"
#include "velafs/store/import/import_verbs.h"
#include "velafs/store/mounted_store.h"
#include "velafs/store/numbered_file.h"
#include "velafs/store/recovery.h"
#include "velafs/store/replace_verbs.h"
#include "velafs/store/scrub/scrub.h"
#include "velafs/store/server_verbs.h"
#include "velafs/store/state_verbs.h"
#include "velafs/store/store.h"
#include "velafs/store/tablespace_verbs.h"
#include "velafs/store/trash_verbs.h"
#include "velafs/store/upkeep_verbs.h"
#include "velafs/store/users.h"

namespace velafs::store {
namespace {

constexpr uint32_t kPublicDirectory = 0711;  // the way to run/ leads through it
constexpr uint32_t kPrivateDirectory = 0700;

Result<bool> IsThere(os::Storage& storage, const std::string& path) {
  const Result<os::FileInfo> info = storage.Stat(path);
  if (info.ok()) return true;
  if (info.status().error_number() == ENOENT) return false;
  return info.status();
}

// The directory above, "/" for what has none.
std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

// Absolute and without a slash at the end.
std::string Normalised(const std::string& directory) {
  std::string path = boost::filesystem::absolute(directory).lexically_normal().string();
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

// The directory and its missing parents, each durable in the one above it.
Status MakeDirectories(os::Storage& storage, const std::string& path, uint32_t mode) {
  VELAFS_ASSIGN(const bool there, IsThere(storage, path));
  if (there) return {};
  const std::string parent = ParentOf(path);
  VELAFS_TRY(MakeDirectories(storage, parent, 0755));
  VELAFS_TRY(storage.MakeDirectory(path, mode));
  return storage.SyncDirectory(parent);
}

// Refused unless the directory is empty or holds no more than an interrupted Init leaves.
Status CheckIsEmpty(os::Storage& storage, const StorePaths& paths) {
  VELAFS_ASSIGN(const std::vector<os::DirectoryEntry> entries, storage.List(paths.root));
  for (const os::DirectoryEntry& entry : entries) {
    const std::string path = paths.root + "/" + entry.name;
    if (entry.name == "lost+found" || path.starts_with(paths.Catalog() + ".new")) continue;
    const bool may_be_ours = path == paths.Packs() || path == paths.Layers() || path == paths.Run();
    if (may_be_ours && entry.is_directory) {
      VELAFS_ASSIGN(const std::vector<os::DirectoryEntry> inside, storage.List(path));
      if (inside.empty()) continue;
    }
    return Refused("the directory is not empty", "name a directory that does not exist yet");
  }
  return {};
}

// To those who are not its owner a store is what its daemon answers, and none has. One there may
// be, which lets nobody else in: then its socket is closed.
Status AnothersStore(const StorePaths& paths, uid_t owner) {
  const bool is_closed =
      faccessat(AT_FDCWD, paths.Socket().c_str(), W_OK, AT_EACCESS) != 0 && errno == EACCES;
  if (is_closed) {
    return Refused("the directory belongs to user \"" + UserName(owner) + "\"",
                   "only that user and root can use the store, until a policy lets others in: "
                   "velafs policy set --of-store user_group=GROUP");
  }
  return Unreachable("store \"" + paths.root + "\" is not mounted",
                     "no daemon runs: ask an administrator, or user \"" + UserName(owner) +
                         "\", to run velafs mount");
}

// Refuse a store that other users can write to: its content cannot be trusted.
Status CheckIsOurs(const StorePaths& paths) {
  const std::string& root = paths.root;
  struct stat info;
  if (stat(root.c_str(), &info) < 0) return SystemError(errno, "cannot look at the directory");
  if (info.st_uid != geteuid()) return AnothersStore(paths, info.st_uid);
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return Refused("its group or other users may write to the directory",
                   "check its content, then: chmod go-w '" + root + "'");
  }
  return {};
}

Status MakePart(os::Storage& storage, const std::string& path, uint32_t mode) {
  Status made = storage.MakeDirectory(path, mode);
  return made.error_number() == EEXIST ? Status() : made;
}

Status MakeStore(os::Storage& storage, const StorePaths& paths) {
  VELAFS_TRY(MakeDirectories(storage, paths.root, kPublicDirectory));
  VELAFS_ASSIGN(const bool exists, IsThere(storage, paths.Catalog()));
  if (exists) return Exists("a store exists there already");
  VELAFS_TRY(CheckIsEmpty(storage, paths));
  boost::system::error_code error;
  boost::filesystem::permissions(paths.root, boost::filesystem::perms(kPublicDirectory), error);
  if (error) return SystemError(error.value(), "cannot set the permissions of the directory");
  VELAFS_TRY(MakePart(storage, paths.Packs(), kPrivateDirectory));
  VELAFS_TRY(MakePart(storage, paths.Layers(), kPrivateDirectory));
  VELAFS_TRY(MakePart(storage, paths.Run(), kPublicDirectory));
  // The catalog comes last, and when all else is durable: a directory without one is no store yet,
  // and Init may be run again; one with it has its parts.
  VELAFS_TRY(storage.SyncDirectory(paths.root));
  return catalog::Catalog::Create(paths.Catalog(), storage);
}

// True when there is, beside the catalog, something that a store holds.
bool IsInUse(os::Storage& storage, const StorePaths& paths) {
  for (const std::string& part : {paths.Packs(), paths.Layers(), paths.Copies()}) {
    const auto entries = storage.List(part);
    if (entries.ok() && !entries->empty()) return true;
  }
  return false;
}

// The store's lock. NotFound when there is no store; one whose catalog is gone is one all the same.
Result<os::FileLock> TakeLock(const StorePaths& paths, os::Storage& storage) {
  VELAFS_ASSIGN(const bool has_catalog, IsThere(storage, paths.Catalog()));
  if (!has_catalog && !IsInUse(storage, paths)) {
    return NotFound("there is no store at \"" + paths.root + "\"",
                    "make one: velafs --store " + paths.root + " init");
  }
  VELAFS_TRY(CheckIsOurs(paths));
  VELAFS_TRY(MakePart(storage, paths.Run(), kPublicDirectory));
  pid_t holder = 0;
  // To name the holder takes space too, on a host that writes in new places.
  Result<os::FileLock> lock = os::SpaceReserve(storage, paths.Reserve()).Run([&] {
    return os::FileLock::Acquire(paths.Lock(), &holder);
  });
  if (lock.ok() || lock.status().code() != Code::kLocked) return lock;
  const std::string by = holder == 0 ? "another process" : "process " + std::to_string(holder);
  return Locked("store \"" + paths.root + "\" is in use by " + by);
}

Status WithStore(Status status, const std::string& verb, const StorePaths& paths) {
  const bool says_it = status.code() == Code::kNotFound || status.code() == Code::kLocked ||
                       status.code() == Code::kUnreachable;
  if (says_it || status.ok()) return status;
  return std::move(status).WithContext("cannot " + verb + " store \"" + paths.root + "\"");
}

// An id reaches the disk with the catalog before anything that bears it does. Whatever has a later
// one is of a later catalog than this, which an earlier copy must have replaced: it is not garbage.
Status CheckCatalogIsLatest(StoreContext& context) {
  VELAFS_ASSIGN(const catalog::GivenIds last, context.catalog->Read(&catalog::Reader::LastIds));
  const auto check = [&context](const std::string& directory, std::string_view suffix,
                                uint64_t last_id) -> Status {
    VELAFS_ASSIGN(const auto entries, context.storage.List(directory));
    for (const os::DirectoryEntry& entry : entries) {
      if (NumberOf(entry.name, suffix) <= last_id) continue;
      return Corrupt("its catalog is older than \"" + directory + "/" + entry.name + "\"");
    }
    return {};
  };
  VELAFS_TRY(check(context.paths.Layers(), "", last.layer.value));
  return check(context.paths.Packs(), ".pack", last.pack.value);
}

}  // namespace

Status Store::Init(const std::string& directory, os::Storage& storage) {
  const StorePaths paths(Normalised(directory));
  return MakeStore(storage, paths).WithContext("cannot make a store in \"" + paths.root + "\"");
}

Result<std::unique_ptr<Store>> Store::Open(const std::string& directory, os::Storage& storage) {
  const StorePaths paths(Normalised(directory));
  Result<os::FileLock> lock = TakeLock(paths, storage);
  if (!lock.ok()) return WithStore(std::move(lock).status(), "open", paths);
  std::unique_ptr<Store> store(new Store(paths, storage, *std::move(lock)));
  Status opened = store->OpenParts();
  if (opened.ok()) return store;
  if (opened.code() == Code::kCorrupt) {
    opened = std::move(opened).WithHint("`velafs --store " + paths.root +
                                        " scrub` shows the damage; with --repair it repairs it");
  }
  return WithStore(std::move(opened), "open", paths);
}

Result<ScrubReport> ScrubClosedStore(const std::string& directory, const ScrubOptions& options,
                                     const ScrubProgressFn& progress, os::Storage& storage) {
  const StorePaths paths(Normalised(directory));
  const Result<os::FileLock> lock = TakeLock(paths, storage);
  if (!lock.ok()) return WithStore(lock.status(), "scrub", paths);
  const ScrubTarget target{.storage = storage, .paths = paths};
  Result<ScrubReport> report = Scrub(target, options, progress);
  if (report.ok()) return report;
  return WithStore(std::move(report).status(), "scrub", paths);
}

Store::Store(const StorePaths& paths, os::Storage& storage, os::FileLock lock)
    : lock_(std::move(lock)), context_(paths, storage) {}

Store::~Store() = default;

ImportVerbs Store::imports() { return ImportVerbs(context_); }
BranchVerbs Store::branches() { return BranchVerbs(context_); }
TrashVerbs Store::trash() { return TrashVerbs(context_); }
BookmarkVerbs Store::bookmarks() { return BookmarkVerbs(context_); }
ReplaceVerbs Store::replacing() { return ReplaceVerbs(context_); }
StateVerbs Store::states() { return StateVerbs(context_); }
TablespaceVerbs Store::tablespaces() { return TablespaceVerbs(context_); }
ServerVerbs Store::servers() { return ServerVerbs(context_); }
GovernVerbs Store::governance() { return GovernVerbs(context_); }
UsageVerbs Store::usage() { return UsageVerbs(context_); }
UpkeepVerbs Store::upkeep() { return UpkeepVerbs(context_); }
MountedStore Store::mounted() { return MountedStore(context_); }

Status Store::OpenParts() {
  VELAFS_ASSIGN(const bool has_catalog, IsThere(context_.storage, context_.paths.Catalog()));
  if (!has_catalog) return Corrupt("its catalog is missing");
  // On a full disk too a store opens, or nobody could delete in it.
  VELAFS_ASSIGN(context_.catalog, context_.reserve.Run([this] {
    return catalog::Catalog::Open(context_.paths.Catalog(), context_.storage);
  }));
  VELAFS_TRY(CheckCatalogIsLatest(context_));
  context_.audit_log = std::make_unique<AuditLog>(*context_.catalog, context_.reserve);
  context_.policies = std::make_unique<Policies>(*context_.catalog);
  VELAFS_TRY(context_.policies->Load());
  context_.packs = std::make_unique<chunk::PackReader>(context_.storage, context_.paths.Packs());
  context_.storage.SpreadDirectories(context_.paths.Layers());
  context_.volume = std::make_unique<layer::Volume>(
      layer::VolumeParts{context_.storage, *context_.catalog, *context_.packs, context_.reserve,
                         context_.paths.Layers()});
  VELAFS_TRY(context_.reserve.Run([this] {
    return RecoverImports(context_.storage, *context_.catalog, *context_.packs,
                          context_.paths.Packs());
  }));
  VELAFS_TRY(context_.reserve.Run([this] { return ResetEphemerals(context_); }));
  VELAFS_TRY(layer::RemoveOrphans(context_.volume->parts()));
  context_.reserve.Refill();
  return {};
}

void Store::KeepCatalogCopies() {
  context_.copies = std::make_unique<CatalogCopyKeeper>(context_.storage, context_.paths);
}

Status Store::Close() {
  context_.copies.reset();
  // What stays uncounted on a full disk is no reason not to end.
  (void)context_.audit_log->AppendFolded(INT64_MAX);
  Status synced = context_.volume->SyncAll();
  context_.volume.reset();
  Status durable = context_.catalog->MakeDurable(context_.catalog->LastCommit());
  context_.catalog.reset();
  // Now that nothing changes the catalog's files any more: else it would look changed afterwards.
  if (durable.ok()) MakeCatalogCopyIfChanged(context_.storage, context_.paths);
  return synced.ok() ? durable : synced;
}

}  // namespace velafs::store
