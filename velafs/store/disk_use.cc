#include "velafs/store/disk_use.h"

#include "velafs/store/paths.h"

namespace velafs::store {
namespace {

constexpr int kDeepest = 4;  // the store's own are two deep

// Of all that can be looked at and lies no deeper than `depth`: directories in run/ are users', who
// may nest them without end.
uint64_t BytesIn(os::Storage& storage, const std::string& directory, int depth) {
  uint64_t total = 0;
  const auto entries = storage.List(directory);
  if (!entries.ok()) return 0;
  for (const os::DirectoryEntry& entry : *entries) {
    const std::string path = directory + "/" + entry.name;
    if (entry.is_directory) {
      if (depth > 0) total += BytesIn(storage, path, depth - 1);
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
      part += BytesIn(storage, path, kDeepest);
    } else if (const Result<os::FileInfo> info = storage.Stat(path); info.ok()) {
      part += info->allocated_bytes;
    }
  }
  return bytes;
}

}  // namespace velafs::store
