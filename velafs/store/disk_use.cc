#include "velafs/store/disk_use.h"

#include <cerrno>

#include "velafs/store/store.h"

namespace velafs::store {
namespace {

Result<uint64_t> BytesIn(os::Storage& storage, const std::string& directory) {
  uint64_t total = 0;
  const auto entries = storage.List(directory);
  const int error = entries.status().error_number();
  // Gone by now, or a user's directory in run/ that this process may not look into.
  if (error == ENOENT || error == EACCES) return uint64_t{0};
  VELAFS_TRY(entries.status());
  for (const os::DirectoryEntry& entry : *entries) {
    const std::string path = directory + "/" + entry.name;
    if (entry.is_directory) {
      VELAFS_ASSIGN(const uint64_t inside, BytesIn(storage, path));
      total += inside;
    } else if (const Result<os::FileInfo> info = storage.Stat(path); info.ok()) {
      total += info->allocated_bytes;
    }
  }
  return total;
}

std::string PartOf(const std::string& name) {
  if (name.starts_with("catalog.db")) return "catalog";  // and its WAL
  for (const char* part : {"packs", "layers", "copies", "run", "reserve"}) {
    if (name == part) return part;
  }
  return "other";
}

}  // namespace

Result<std::map<std::string, uint64_t>> DiskUse(os::Storage& storage, const StorePaths& paths) {
  std::map<std::string, uint64_t> bytes = {{"packs", 0},  {"layers", 0}, {"catalog", 0},
                                           {"copies", 0}, {"run", 0},    {"reserve", 0},
                                           {"other", 0}};
  VELAFS_ASSIGN(const auto entries, storage.List(paths.root));
  for (const os::DirectoryEntry& entry : entries) {
    const std::string path = paths.root + "/" + entry.name;
    if (path == paths.DefaultMountpoint()) continue;
    uint64_t& part = bytes[PartOf(entry.name)];
    if (entry.is_directory) {
      VELAFS_ASSIGN(const uint64_t inside, BytesIn(storage, path));
      part += inside;
    } else if (const Result<os::FileInfo> info = storage.Stat(path); info.ok()) {
      part += info->allocated_bytes;
    }
  }
  return bytes;
}

}  // namespace velafs::store
