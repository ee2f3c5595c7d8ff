#include "velafs/sql/host_vfs.h"

#include <sqlite3.h>

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "velafs/base/check.h"

namespace velafs::sql {
namespace {

// A VFS like the one below it, which opens the files; see HostVfs.
struct HostFiles {
  sqlite3_vfs* below = nullptr;
  std::string name;
  sqlite3_vfs vfs{};
};

// Follows the file of the VFS below, in the same memory, which SQLite provides.
struct HostFile {
  sqlite3_io_methods methods;
  const sqlite3_io_methods* below;
};

size_t OffsetOfHostFile(const HostFiles& files) {
  constexpr size_t kAlignment = alignof(HostFile);
  const auto size = static_cast<size_t>(files.below->szOsFile);
  return (size + kAlignment - 1) / kAlignment * kAlignment;
}

// The methods of an open file are the first member of its HostFile.
const HostFile& HostFileOf(const sqlite3_file* file) {
  return *reinterpret_cast<const HostFile*>(file->pMethods);
}

int Read(sqlite3_file* file, void* into, int bytes, sqlite3_int64 offset) {
  const int result = HostFileOf(file).below->xRead(file, into, bytes, offset);
  return result == SQLITE_IOERR_CORRUPTFS ? SQLITE_IOERR_READ : result;
}

int Open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out_flags) {
  const auto& files = *static_cast<const HostFiles*>(vfs->pAppData);
  const int result = files.below->xOpen(files.below, path, file, flags, out_flags);
  if (file->pMethods == nullptr) return result;
  auto* const host_file =
      reinterpret_cast<HostFile*>(reinterpret_cast<std::byte*>(file) + OffsetOfHostFile(files));
  host_file->methods = *file->pMethods;
  host_file->below = file->pMethods;
  host_file->methods.xRead = Read;
  file->pMethods = &host_file->methods;
  return result;
}

int Delete(sqlite3_vfs* vfs, const char* path, int sync_directory) {
  sqlite3_vfs* const below = static_cast<const HostFiles*>(vfs->pAppData)->below;
  return below->xDelete(below, path, sync_directory);
}

int Access(sqlite3_vfs* vfs, const char* path, int flags, int* yes) {
  sqlite3_vfs* const below = static_cast<const HostFiles*>(vfs->pAppData)->below;
  return below->xAccess(below, path, flags, yes);
}

int FullPathname(sqlite3_vfs* vfs, const char* path, int room, char* full) {
  sqlite3_vfs* const below = static_cast<const HostFiles*>(vfs->pAppData)->below;
  return below->xFullPathname(below, path, room, full);
}

std::unique_ptr<HostFiles> MakeHostFiles(sqlite3_vfs* below) {
  auto files = std::make_unique<HostFiles>();
  files->below = below;
  files->name = std::string("velafs-") + below->zName;
  files->vfs = *below;
  files->vfs.pNext = nullptr;
  files->vfs.zName = files->name.c_str();
  files->vfs.pAppData = files.get();
  files->vfs.szOsFile = static_cast<int>(OffsetOfHostFile(*files) + sizeof(HostFile));
  files->vfs.xOpen = Open;
  files->vfs.xDelete = Delete;
  files->vfs.xAccess = Access;
  files->vfs.xFullPathname = FullPathname;
  VELAFS_CHECK(sqlite3_vfs_register(&files->vfs, /*makeDflt=*/0) == SQLITE_OK);
  return files;
}

}  // namespace

const char* HostVfs() {
  static std::mutex mutex;
  static std::map<const sqlite3_vfs*, std::unique_ptr<HostFiles>> all;  // by the VFS below
  sqlite3_vfs* below = sqlite3_vfs_find(nullptr);
  if (std::string_view(below->zName) == "unix") below = sqlite3_vfs_find("unix-excl");
  const std::lock_guard lock(mutex);
  std::unique_ptr<HostFiles>& files = all[below];
  if (files == nullptr) files = MakeHostFiles(below);
  return files->name.c_str();
}

}  // namespace velafs::sql
