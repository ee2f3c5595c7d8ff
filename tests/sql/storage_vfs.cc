#include "tests/sql/storage_vfs.h"

#include <sqlite3.h>

#include <algorithm>
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

// Which prefixes lie on which storage. One per process, as SQLite's list of VFSs is.
struct Registry {
  std::mutex mutex;
  std::map<std::string, os::Storage*> storages;
  sqlite3_vfs* host = nullptr;  // SQLite's own
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

// What SQLite sees as a file. Shared memory is this connection's own: it is the only one.
struct StorageFile {
  sqlite3_file base;
  os::File* file;
  std::vector<std::unique_ptr<char[]>>* regions;
};

StorageFile& Self(sqlite3_file* file) { return *reinterpret_cast<StorageFile*>(file); }

int CodeOf(const Status& status, int otherwise) {
  if (status.ok()) return SQLITE_OK;
  return status.error_number() == ENOSPC ? SQLITE_FULL : otherwise;
}

int Close(sqlite3_file* file) {
  delete Self(file).file;
  delete Self(file).regions;
  return SQLITE_OK;
}

int Read(sqlite3_file* file, void* into, int bytes, sqlite3_int64 offset) {
  const std::span<std::byte> buffer(static_cast<std::byte*>(into), static_cast<size_t>(bytes));
  const auto got = Self(file).file->Read(static_cast<uint64_t>(offset), buffer);
  if (!got.ok()) return SQLITE_IOERR_READ;
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

int Lock(sqlite3_file*, int) { return SQLITE_OK; }

int CheckReservedLock(sqlite3_file*, int* is_reserved) {
  *is_reserved = 0;
  return SQLITE_OK;
}

int FileControl(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
int SectorSize(sqlite3_file*) { return 4096; }
// As on the host: a write does not touch its neighbours, even when the power goes.
int Characteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

int MapShared(sqlite3_file* file, int region, int bytes, int, void volatile** at) {
  auto& regions = *Self(file).regions;
  while (regions.size() <= static_cast<size_t>(region)) {
    regions.push_back(std::make_unique<char[]>(static_cast<size_t>(bytes)));
  }
  *at = regions[static_cast<size_t>(region)].get();
  return SQLITE_OK;
}

int LockShared(sqlite3_file*, int, int, int) { return SQLITE_OK; }
void Barrier(sqlite3_file*) {}

int UnmapShared(sqlite3_file* file, int) {
  Self(file).regions->clear();
  return SQLITE_OK;
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
    m.xUnlock = Lock;
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
  new (file)
      StorageFile{{&Methods()}, (*opened).release(), new std::vector<std::unique_ptr<char[]>>};
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
