#include "velafs/store/catalog_copies.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "velafs/base/mutex.h"
#include "velafs/catalog/observer.h"
#include "velafs/store/numbered_file.h"
#include "velafs/store/paths.h"

namespace velafs::store {
namespace {

constexpr size_t kCopiesKept = 3;
constexpr auto kCopyInterval = std::chrono::hours(1);
// What a copy must leave free on the disk: it is no use to a server that has run out of space.
constexpr uint64_t kRoomLeftBytes = 64 << 20;
// The kernel's clock for files may be behind by a tick.
constexpr TimeNs kTickNs = 20'000'000;
constexpr std::string_view kPrefix = "catalog-";

TimeNs MtimeOf(os::Storage& storage, const std::string& path) {
  const auto info = storage.Stat(path);
  return info.ok() ? info->mtime : 0;
}

// Without a write since then, the newest copy is as good as the catalog.
bool IsChanged(os::Storage& storage, const StorePaths& paths, TimeNs since) {
  const auto log = storage.Stat(paths.Catalog() + "-wal");
  return MtimeOf(storage, paths.Catalog()) > since ||
         (log.ok() && log->size_bytes > 0 && log->mtime > since);
}

Status CheckRoom(os::Storage& storage, const StorePaths& paths) {
  uint64_t wanted = kRoomLeftBytes;
  for (const std::string& path : {paths.Catalog(), paths.Catalog() + "-wal"}) {
    if (const auto info = storage.Stat(path); info.ok()) wanted += info->size_bytes;
  }
  VELAFS_ASSIGN(const os::SpaceInfo space, storage.Space(paths.root));
  return space.available_blocks >= wanted / space.block_bytes ? Status() : Errno(ENOSPC);
}

Status RemoveIfAny(os::Storage& storage, const std::string& path) {
  Status removed = storage.RemoveFile(path);
  return removed.error_number() == ENOENT ? Status() : removed;
}

Status Verify(const std::string& path) {
  VELAFS_ASSIGN(const auto copy, catalog::Observer::Open(path));
  VELAFS_ASSIGN(const std::vector<std::string> found, copy->FindDamage());
  return found.empty() ? Status() : Corrupt(found[0]);
}

// Order: the copy under another name; verified; synced; renamed; the directory synced. A crash in
// between leaves a file whose name no copy has.
Status WriteCopy(os::Storage& storage, const StorePaths& paths, const std::string& path) {
  const std::string draft = path + ".new";
  for (const char* suffix : {"", "-journal", "-wal", "-shm"}) {
    VELAFS_TRY(RemoveIfAny(storage, draft + suffix));
  }
  const auto write = [&]() -> Status {
    // SQLite would make it readable for others.
    VELAFS_ASSIGN(const auto file, storage.Open(draft, os::OpenMode::kCreateNew));
    VELAFS_ASSIGN(const auto catalog, catalog::Observer::Open(paths.Catalog()));
    // A write from here on may not be in the copy, and must not look as if it were.
    const TimeNs as_of = NowNs() - kTickNs;
    VELAFS_TRY(catalog->CopyTo(draft));
    VELAFS_TRY(Verify(draft));
    VELAFS_TRY(file->SetTimes(as_of, as_of));
    VELAFS_TRY(file->Sync(os::SyncKind::kFull));
    VELAFS_TRY(storage.Rename(draft, path));
    return storage.SyncDirectory(paths.Copies());
  };
  Status written = write();
  if (!written.ok()) (void)RemoveIfAny(storage, draft);
  return written;
}

Status RemoveOldCopies(os::Storage& storage, const StorePaths& paths) {
  VELAFS_ASSIGN(const std::vector<CatalogCopy> copies, ListCatalogCopies(storage, paths));
  for (size_t i = kCopiesKept; i < copies.size(); ++i) {
    VELAFS_TRY(RemoveIfAny(storage, copies[i].path));
  }
  return {};
}

void LogFailure(const Status& made) {
  if (made.ok()) return;
  if (made.error_number() == ENOSPC) {
    spdlog::warn("no copy of the catalog was made: the disk has no room for it");
  } else {
    spdlog::error("cannot copy the catalog: {}", made.message());
  }
}

TimeNs NewestCopyAt(os::Storage& storage, const StorePaths& paths) {
  const auto copies = ListCatalogCopies(storage, paths);
  return copies.ok() && !copies->empty() ? copies->front().made_at : 0;
}

PeriodicThread::Wait UntilNextCopy(os::Storage& storage, const StorePaths& paths) {
  constexpr TimeNs kCopyIntervalNs = std::chrono::nanoseconds(kCopyInterval).count();
  const TimeNs age = NowNs() - NewestCopyAt(storage, paths);
  return std::chrono::nanoseconds(std::clamp<TimeNs>(kCopyIntervalNs - age, 0, kCopyIntervalNs));
}

}  // namespace

Result<std::vector<CatalogCopy>> ListCatalogCopies(os::Storage& storage, const StorePaths& paths) {
  std::vector<CatalogCopy> copies;
  const auto entries = storage.List(paths.Copies());
  if (entries.status().error_number() == ENOENT) return copies;
  VELAFS_TRY(entries.status());
  for (const os::DirectoryEntry& entry : *entries) {
    if (!entry.name.starts_with(kPrefix)) continue;
    const uint64_t number = NumberOf(entry.name.substr(kPrefix.size()), ".db");
    const std::string path = paths.Copies() + "/" + entry.name;
    if (number > 0) copies.push_back({number, path, MtimeOf(storage, path)});
  }
  std::sort(copies.begin(), copies.end(),
            [](const CatalogCopy& a, const CatalogCopy& b) { return a.number > b.number; });
  return copies;
}

Status MakeCatalogCopy(os::Storage& storage, const StorePaths& paths) {
  static Mutex one_at_a_time;
  MutexLock lock(one_at_a_time);
  Status made = storage.MakeDirectory(paths.Copies(), 0700);
  if (!made.ok() && made.error_number() != EEXIST) return made;
  if (made.ok()) VELAFS_TRY(storage.SyncDirectory(paths.root));
  VELAFS_TRY(CheckRoom(storage, paths));
  VELAFS_ASSIGN(const std::vector<CatalogCopy> copies, ListCatalogCopies(storage, paths));
  const uint64_t number = copies.empty() ? 1 : copies.front().number + 1;
  VELAFS_TRY(
      WriteCopy(storage, paths,
                paths.Copies() + "/" + std::string(kPrefix) + std::to_string(number) + ".db"));
  return RemoveOldCopies(storage, paths);
}

void MakeCatalogCopyIfChanged(os::Storage& storage, const StorePaths& paths) {
  if (!IsChanged(storage, paths, NewestCopyAt(storage, paths))) return;
  LogFailure(MakeCatalogCopy(storage, paths));
}

CatalogCopyKeeper::CatalogCopyKeeper(os::Storage& storage, const StorePaths& paths)
    : thread_(UntilNextCopy(storage, paths), [&storage, &paths] {
        MakeCatalogCopyIfChanged(storage, paths);
        return kCopyInterval;
      }) {}

}  // namespace velafs::store
