#include "tests/sql/storage_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include "velafs/base/check.h"

namespace velafs::test {
namespace {

struct StorageFile;

// What the connections to one database share, as long as one is open: memory, and locks.
struct Shared {
  std::mutex mutex;
  std::vector<std::unique_ptr<char[]>> regions;
  std::map<const StorageFile*, int> levels;  // of the lock on the database file
  std::array<std::map<const StorageFile*, bool>, SQLITE_SHM_NLOCK> slots;  // true: exclusive
};

// Which prefixes lie on which storage. One per process, as SQLite's list of VFSs is.
struct Registry {
  std::mutex mutex;
  std::map<std::string, os::Storage*> storages;
  std::map<std::string, std::weak_ptr<Shared>> shared;  // by path
  sqlite3_vfs* host = nullptr;                          // SQLite's own
  sqlite3_vfs vfs{};

  os::Storage* Find(const char* path) {
    if (path == nullptr) return nullptr;
    const std::lock_guard lock(mutex);
    for (const auto& [prefix, storage] : storages) {
      if (std::string_view(path).starts_with(prefix)) return storage;
    }
    return nullptr;
  }
};

Registry& TheRegistry() {
  static Registry registry;
  return registry;
}

// What SQLite sees as a file.
struct StorageFile {
  sqlite3_file base;
  os::File* file;
  std::shared_ptr<Shared>* shared;
  bool is_read_only;
};

StorageFile& Self(sqlite3_file* file) { return *reinterpret_cast<StorageFile*>(file); }

int CodeOf(const Status& status, int otherwise) {
  if (status.ok()) return SQLITE_OK;
  return status.error_number() == ENOSPC ? SQLITE_FULL : otherwise;
}

int Close(sqlite3_file* file) {
  StorageFile& self = Self(file);
  {
    const std::lock_guard lock((*self.shared)->mutex);
    (*self.shared)->levels.erase(&self);
    for (auto& slot : (*self.shared)->slots) slot.erase(&self);
  }
  delete self.file;
  delete self.shared;
  return SQLITE_OK;
}

int Read(sqlite3_file* file, void* into, int bytes, sqlite3_int64 offset) {
  const std::span<std::byte> buffer(static_cast<std::byte*>(into), static_cast<size_t>(bytes));
  const auto got = Self(file).file->Read(static_cast<uint64_t>(offset), buffer);
  // As SQLite's own answers EIO, which it takes for a sign of damage.
  if (!got.ok()) return SQLITE_IOERR_CORRUPTFS;
  if (*got == buffer.size()) return SQLITE_OK;
  std::ranges::fill(buffer.subspan(*got), std::byte{0});
  return SQLITE_IOERR_SHORT_READ;
}

int Write(sqlite3_file* file, const void* data, int bytes, sqlite3_int64 offset) {
  const std::span<const std::byte> buffer(static_cast<const std::byte*>(data),
                                          static_cast<size_t>(bytes));
  return CodeOf(Self(file).file->Write(static_cast<uint64_t>(offset), buffer), SQLITE_IOERR_WRITE);
}

int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  return CodeOf(Self(file).file->Truncate(static_cast<uint64_t>(size)), SQLITE_IOERR_TRUNCATE);
}

int Sync(sqlite3_file* file, int) {
  return CodeOf(Self(file).file->Sync(os::SyncKind::kFull), SQLITE_IOERR_FSYNC);
}

int FileSize(sqlite3_file* file, sqlite3_int64* size) {
  const auto info = Self(file).file->Stat();
  if (!info.ok()) return SQLITE_IOERR_FSTAT;
  *size = static_cast<sqlite3_int64>(info->size_bytes);
  return SQLITE_OK;
}

// As on the host, who may only read cannot lock out others.
int Lock(sqlite3_file* file, int level) {
  StorageFile& self = Self(file);
  if (self.is_read_only && level > SQLITE_LOCK_SHARED) return SQLITE_PERM;
  const std::lock_guard lock((*self.shared)->mutex);
  for (const auto& [other, its_level] : (*self.shared)->levels) {
    if (other == &self) continue;
    const bool is_busy = level == SQLITE_LOCK_EXCLUSIVE  ? its_level >= SQLITE_LOCK_SHARED
                         : level >= SQLITE_LOCK_RESERVED ? its_level >= SQLITE_LOCK_RESERVED
                                                         : its_level >= SQLITE_LOCK_PENDING;
    if (is_busy) return SQLITE_BUSY;
  }
  (*self.shared)->levels[&self] = level;
  return SQLITE_OK;
}

int Unlock(sqlite3_file* file, int level) {
  StorageFile& self = Self(file);
  const std::lock_guard lock((*self.shared)->mutex);
  (*self.shared)->levels[&self] = level;
  return SQLITE_OK;
}

int CheckReservedLock(sqlite3_file*, int* is_reserved) {
  *is_reserved = 0;
  return SQLITE_OK;
}

int FileControl(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
int SectorSize(sqlite3_file*) { return 4096; }
// As on the host: a write does not touch its neighbours, even when the power goes.
int Characteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

int MapShared(sqlite3_file* file, int region, int bytes, int, void volatile** at) {
  const std::lock_guard lock((*Self(file).shared)->mutex);
  auto& regions = (*Self(file).shared)->regions;
  while (regions.size() <= static_cast<size_t>(region)) {
    regions.push_back(std::make_unique<char[]>(static_cast<size_t>(bytes)));
  }
  *at = regions[static_cast<size_t>(region)].get();
  return SQLITE_OK;
}

int LockShared(sqlite3_file* file, int first, int count, int flags) {
  StorageFile& self = Self(file);
  const std::lock_guard lock((*self.shared)->mutex);
  const auto begin = (*self.shared)->slots.begin() + first;
  const auto end = begin + count;
  const bool is_exclusive = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
  if ((flags & SQLITE_SHM_UNLOCK) != 0) {
    for (auto slot = begin; slot != end; ++slot) slot->erase(&self);
    return SQLITE_OK;
  }
  for (auto slot = begin; slot != end; ++slot) {
    for (const auto& [other, its_exclusive] : *slot) {
      if (other != &self && (is_exclusive || its_exclusive)) return SQLITE_BUSY;
    }
  }
  for (auto slot = begin; slot != end; ++slot) (*slot)[&self] = is_exclusive;
  return SQLITE_OK;
}

// A lock and not a fence, which ThreadSanitizer does not know.
void Barrier(sqlite3_file* file) { const std::lock_guard lock((*Self(file).shared)->mutex); }

// The memory goes with the last connection.
int UnmapShared(sqlite3_file*, int) { return SQLITE_OK; }

std::shared_ptr<Shared> SharedOf(const std::string& path) {
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  auto shared = registry.shared[path].lock();
  if (shared == nullptr) registry.shared[path] = shared = std::make_shared<Shared>();
  return shared;
}

const sqlite3_io_methods& Methods() {
  static const sqlite3_io_methods methods = [] {
    sqlite3_io_methods m{};
    m.iVersion = 2;
    m.xClose = Close;
    m.xRead = Read;
    m.xWrite = Write;
    m.xTruncate = Truncate;
    m.xSync = Sync;
    m.xFileSize = FileSize;
    m.xLock = Lock;
    m.xUnlock = Unlock;
    m.xCheckReservedLock = CheckReservedLock;
    m.xFileControl = FileControl;
    m.xSectorSize = SectorSize;
    m.xDeviceCharacteristics = Characteristics;
    m.xShmMap = MapShared;
    m.xShmLock = LockShared;
    m.xShmBarrier = Barrier;
    m.xShmUnmap = UnmapShared;
    return m;
  }();
  return methods;
}

int Open(sqlite3_vfs*, const char* path, sqlite3_file* file, int flags, int* out_flags) {
  os::Storage* storage = TheRegistry().Find(path);
  sqlite3_vfs* host = TheRegistry().host;
  if (storage == nullptr) return host->xOpen(host, path, file, flags, out_flags);
  file->pMethods = nullptr;
  const bool may_make = (flags & SQLITE_OPEN_CREATE) != 0;
  auto opened = storage->Open(path, may_make ? os::OpenMode::kCreate : os::OpenMode::kReadWrite);
  if (!opened.ok()) return CodeOf(opened.status(), SQLITE_CANTOPEN);
  // A file of SQLite's own, without a name, is shared with nobody.
  const auto shared = path == nullptr ? std::make_shared<Shared>() : SharedOf(path);
  new (file) StorageFile{{&Methods()},
                         (*opened).release(),
                         new std::shared_ptr<Shared>(shared),
                         (flags & SQLITE_OPEN_READONLY) != 0};
  if (out_flags != nullptr) *out_flags = flags;
  return SQLITE_OK;
}

int Delete(sqlite3_vfs*, const char* path, int sync_directory) {
  os::Storage* storage = TheRegistry().Find(path);
  sqlite3_vfs* host = TheRegistry().host;
  if (storage == nullptr) return host->xDelete(host, path, sync_directory);
  const Status removed = storage->RemoveFile(path);
  if (removed.error_number() == ENOENT) return SQLITE_IOERR_DELETE_NOENT;
  if (!removed.ok()) return SQLITE_IOERR_DELETE;
  if (sync_directory == 0) return SQLITE_OK;
  const std::string text(path);
  return CodeOf(storage->SyncDirectory(text.substr(0, text.rfind('/'))), SQLITE_IOERR_DIR_FSYNC);
}

int Access(sqlite3_vfs*, const char* path, int flags, int* yes) {
  os::Storage* storage = TheRegistry().Find(path);
  sqlite3_vfs* host = TheRegistry().host;
  if (storage == nullptr) return host->xAccess(host, path, flags, yes);
  const auto info = storage->Stat(path);
  *yes = info.ok() ? 1 : 0;
  return info.ok() || info.status().error_number() == ENOENT ? SQLITE_OK : SQLITE_IOERR_ACCESS;
}

int FullPathname(sqlite3_vfs*, const char* path, int room, char* full) {
  sqlite3_vfs* host = TheRegistry().host;
  if (TheRegistry().Find(path) == nullptr) return host->xFullPathname(host, path, room, full);
  if (std::strlen(path) >= static_cast<size_t>(room)) return SQLITE_CANTOPEN;
  std::strcpy(full, path);
  return SQLITE_OK;
}

void Install(Registry& registry) {
  registry.host = sqlite3_vfs_find(nullptr);
  registry.vfs = *registry.host;
  registry.vfs.pNext = nullptr;
  registry.vfs.zName = "velafs-test-storage";
  registry.vfs.szOsFile = std::max(registry.host->szOsFile, static_cast<int>(sizeof(StorageFile)));
  registry.vfs.xOpen = Open;
  registry.vfs.xDelete = Delete;
  registry.vfs.xAccess = Access;
  registry.vfs.xFullPathname = FullPathname;
  VELAFS_CHECK(sqlite3_vfs_register(&registry.vfs, 1) == SQLITE_OK);
}

}  // namespace

StorageForSqlite::StorageForSqlite(std::string prefix, os::Storage& storage)
    : prefix_(std::move(prefix)) {
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  if (registry.host == nullptr) Install(registry);
  registry.storages[prefix_] = &storage;
}

StorageForSqlite::~StorageForSqlite() {
  const std::lock_guard lock(TheRegistry().mutex);
  TheRegistry().storages.erase(prefix_);
}

}  // namespace velafs::test
