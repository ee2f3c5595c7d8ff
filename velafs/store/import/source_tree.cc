#include "velafs/store/import/source_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <memory>
#include <string_view>

#include "velafs/base/ids.h"
#include "velafs/store/import/source_open.h"

namespace velafs::store {
namespace {

constexpr std::array<std::string_view, 7> kEmptied = {"pg_stat_tmp", "pg_replslot", "pg_dynshmem",
                                                      "pg_notify",   "pg_serial",   "pg_snapshots",
                                                      "pg_subtrans"};
// Far fewer than SourceEntry can number, and more than a host has the memory for.
constexpr size_t kMaxEntries = 1'000'000'000;
// PostgreSQL's are four. Each costs as much as all above it, which are looked up anew.
constexpr uint32_t kMaxDepth = 4096;

struct DirCloser {
  void operator()(DIR* directory) const { closedir(directory); }
};
using DirHandle = std::unique_ptr<DIR, DirCloser>;

// The directory that was found there, and no other. Null with errno.
DirHandle OpenDirectory(const std::string& path, const struct stat& found) {
  os::UniqueFd fd = OpenWithoutLinks(path, O_RDONLY | O_DIRECTORY);
  struct stat info;
  if (!fd || fstat(fd.get(), &info) < 0) return nullptr;
  if (info.st_dev != found.st_dev || info.st_ino != found.st_ino) {
    errno = ESTALE;
    return nullptr;
  }
  return DirHandle(fdopendir(fd.Release()));
}

// In order of name, so that equal sources give equal branches. False with errno.
bool ListNames(DIR* directory, std::vector<std::string>* names) {
  errno = 0;
  while (const dirent* entry = readdir(directory)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names->emplace_back(name);
    errno = 0;
  }
  std::sort(names->begin(), names->end());
  return errno == 0;
}

constexpr std::array<std::string_view, 20> kDataDirectories = {
    "base",        "global",       "pg_wal",      "pg_xlog",      "pg_xact",
    "pg_clog",     "pg_commit_ts", "pg_dynshmem", "pg_logical",   "pg_multixact",
    "pg_notify",   "pg_replslot",  "pg_serial",   "pg_snapshots", "pg_stat",
    "pg_stat_tmp", "pg_subtrans",  "pg_tblspc",   "pg_twophase",  "PG_VERSION"};

// Of the top directory: what a server reads its settings from, its certificates and keys.
bool IsConfiguration(std::string_view name) {
  return name == "conf.d" ||
         std::ranges::any_of(
             std::array<std::string_view, 5>{".conf", ".crt", ".key", ".pem", ".crl"},
             [name](std::string_view end) { return name.ends_with(end); });
}

}  // namespace

bool IsEmptiedDirectory(std::string_view name) {
  return std::find(kEmptied.begin(), kEmptied.end(), name) != kEmptied.end();
}

bool IsTemporary(std::string_view name) { return name.starts_with("pgsql_tmp"); }

bool IsOid(std::string_view name) {
  return !name.empty() && name.find_first_not_of("0123456789") == std::string_view::npos;
}

Status SourceTree::WalkRoot(const std::string& root) {
  VELAFS_TRY(AddRoot(root));
  WalkBelow(0);
  return {};
}

Status SourceTree::WalkTablespace(const std::string& root) {
  is_tablespace_ = true;
  return WalkRoot(root);
}

Status SourceTree::AddRoot(const std::string& root) {
  const os::UniqueFd fd = OpenWithoutLinks(root, O_PATH | O_DIRECTORY);
  struct stat info;
  if (!fd || fstat(fd.get(), &info) < 0) {
    return SystemError(errno, "cannot look at \"" + root + "\"");
  }
  Add(0, "", info);
  source.entries[0].source_path = root;
  roots.emplace_back(root, 0);
  return {};
}

void SourceTree::WalkBelow(uint32_t directory) {
  std::vector<uint32_t> ahead = {directory};
  while (!ahead.empty()) {
    const uint32_t next = ahead.back();
    ahead.pop_back();
    WalkOne(next, &ahead);
  }
}

void SourceTree::WalkOne(uint32_t directory, std::vector<uint32_t>* ahead) {
  const DirHandle stream =
      OpenDirectory(source.SourcePath(directory), source.entries[directory].info);
  std::vector<std::string> names;
  if (stream == nullptr || !ListNames(stream.get(), &names)) {
    AddProblem(directory, "cannot be read: " + Errno(errno).message());
    return;
  }
  for (const std::string& name : names) {
    if (IsLeftOut(directory, name)) continue;
    struct stat info;
    if (fstatat(dirfd(stream.get()), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) {
      const int error_number = errno;
      AddProblem(Add(directory, name, {}), "cannot be read: " + Errno(error_number).message());
      continue;
    }
    if (source.entries.size() >= kMaxEntries) {
      return AddProblem(directory, "is one more directory than can be imported");
    }
    const uint32_t entry = Add(directory, name, info);
    if (S_ISDIR(info.st_mode)) {
      if (source.entries[entry].depth > kMaxDepth) {
        return AddProblem(directory, "is nested too deep");
      }
      ahead->push_back(entry);
    } else {
      AddFile(entry, dirfd(stream.get()), name);
    }
  }
}

uint32_t SourceTree::Add(uint32_t parent, const std::string& name, const struct stat& info) {
  SourceEntry entry;
  entry.parent = parent;
  entry.depth = source.entries.empty() ? 0 : source.entries[parent].depth + 1;
  entry.name = name;
  entry.info = info;
  source.entries.push_back(std::move(entry));
  return static_cast<uint32_t>(source.entries.size() - 1);
}

void SourceTree::AddFile(uint32_t index, int directory, const std::string& name) {
  SourceEntry& entry = source.entries[index];
  const mode_t mode = entry.info.st_mode;
  entry.kind = S_ISLNK(mode) ? SourceEntry::Kind::kSymlink : SourceEntry::Kind::kFile;
  if (!S_ISLNK(mode) && !S_ISREG(mode)) {
    if (!S_ISFIFO(mode) && !S_ISSOCK(mode)) return AddProblem(index, "is a device");
    entry.kind = SourceEntry::Kind::kNothing;
    left_out.push_back("\"" + source.BranchPath(index) + "\", " +
                       (S_ISFIFO(mode) ? "a FIFO" : "a socket"));
    return;
  }
  // A file reached through a link may be reached through another, too.
  if (S_ISREG(mode) && (entry.info.st_nlink > 1 || !entry.source_path.empty())) {
    const auto [first, is_new] =
        files_.emplace(std::pair(entry.info.st_dev, entry.info.st_ino), index);
    if (!is_new) {
      entry.kind = SourceEntry::Kind::kOtherName;
      entry.same_as = first->second;
      return;
    }
  }
  if (S_ISLNK(mode)) {
    std::array<char, PATH_MAX> target;
    const ssize_t length = readlinkat(directory, name.c_str(), target.data(), target.size());
    if (length < 0) {
      AddProblem(index, "cannot be read: " + Errno(errno).message());
      return;
    }
    entry.target.assign(target.data(), static_cast<size_t>(length));
    links.push_back(index);
  } else if (static_cast<uint64_t>(entry.info.st_size) > kMaxFileBytes) {
    AddProblem(index, "is larger than 64 TiB");
  } else if (faccessat(directory, name.c_str(), R_OK, AT_EACCESS) < 0) {
    AddProblem(index, "cannot be read: " + Errno(errno).message());
  }
}

void SourceTree::AddProblem(uint32_t entry, const std::string& what) {
  problems.push_back("\"" + source.SourcePath(entry) + "\" " + what);
}

bool SourceTree::IsTablespaceLink(uint32_t entry) const {
  const SourceEntry& link = source.entries[entry];
  const SourceEntry& directory = source.entries[link.parent];
  return link.parent != 0 && directory.parent == 0 && directory.name == kTablespaceLinks &&
         IsOid(link.name);
}

bool SourceTree::IsPostgresOwn(uint32_t entry) const {
  uint32_t top = entry;
  while (source.entries[top].parent != 0) top = source.entries[top].parent;
  const std::string& name = source.entries[top].name;
  if (std::ranges::find(kDataDirectories, name) != kDataDirectories.end()) return true;
  return IsConfiguration(name) && (top == entry || name == "conf.d");
}

bool SourceTree::IsLeftOut(uint32_t directory, const std::string& name) const {
  if (IsTemporary(name)) return true;
  if (directory == 0 && is_tablespace_) return !name.starts_with("PG_");
  if (directory == 0) {
    // The links bring in what is in kOldTablespaces.
    return name == "postmaster.pid" || name == "postmaster.opts" || name == kTablespaceMap ||
           name == kOldTablespaces;
  }
  const SourceEntry& in = source.entries[directory];
  if (in.parent == 0) return IsEmptiedDirectory(in.name);
  // A tablespace's directory may hold those of other server versions, but nothing else of ours.
  const SourceEntry& above = source.entries[in.parent];
  const bool is_tablespace = above.parent == 0 && above.name == kTablespaceLinks && IsOid(in.name);
  return is_tablespace && !name.starts_with("PG_");
}

}  // namespace velafs::store
