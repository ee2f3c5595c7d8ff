#include "tests/layer/tree_model.h"

#include <sys/stat.h>

#include <algorithm>
#include <vector>

namespace velafs::layer {
namespace {

constexpr uint32_t kPermissions = 07777;

bool IsSameEntry(const TreeEntry& a, const TreeEntry& b) {
  const bool is_same_inode = a.ino == b.ino || !a.ino || !b.ino;
  return is_same_inode && a.mode == b.mode && a.uid == b.uid && a.gid == b.gid &&
         a.nlink == b.nlink && a.target == b.target;
}

// "new" for "old" at the beginning of a path at or below it.
std::string Moved(const std::string& path, const std::string& old_top, const std::string& new_top) {
  return new_top + path.substr(old_top.size());
}

}  // namespace

bool TreeEntry::IsDirectory() const { return S_ISDIR(mode); }
bool TreeEntry::IsFile() const { return S_ISREG(mode); }

std::string ParentPath(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

std::string NameOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

std::string JoinPath(const std::string& directory, const std::string& name) {
  return directory.empty() ? name : directory + "/" + name;
}

bool IsWithin(const std::string& path, const std::string& directory) {
  return directory.empty() || path == directory || path.starts_with(directory + "/");
}

TreeModel TreeModel::WithRoot(InodeNumber root) {
  TreeModel tree;
  tree.entries_[""] = {.ino = root, .mode = S_IFDIR | 0700, .nlink = 2};
  return tree;
}

Result<TreeModel> TreeModel::Read(Branch& branch) {
  const auto entry_of = [&branch](const Attributes& shown) -> Result<TreeEntry> {
    TreeEntry entry{.ino = shown.ino,
                    .mode = shown.mode,
                    .uid = shown.uid,
                    .gid = shown.gid,
                    .nlink = shown.nlink};
    if (S_ISLNK(shown.mode)) {
      VELAFS_ASSIGN(entry.target, branch.ReadLink(shown.ino));
    }
    return entry;
  };
  TreeModel tree;
  VELAFS_ASSIGN(const Attributes root, branch.Get(branch.root()));
  VELAFS_ASSIGN(tree.entries_[""], entry_of(root));
  std::vector<std::string> to_visit = {""};
  while (!to_visit.empty()) {
    const std::string directory = to_visit.back();
    to_visit.pop_back();
    std::map<std::string, Attributes> names;
    VELAFS_TRY(branch.List(tree.At(directory).ino, 0,
                           [&](DirectoryCookie, const std::string& name, const Attributes& shown) {
                             names[name] = shown;
                             return true;
                           }));
    for (const auto& [name, shown] : names) {
      const std::string path = JoinPath(directory, name);
      VELAFS_ASSIGN(tree.entries_[path], entry_of(shown));
      if (S_ISDIR(shown.mode)) to_visit.push_back(path);
    }
  }
  return tree;
}

bool TreeModel::HasNamesIn(const std::string& directory) const {
  return std::ranges::any_of(entries_, [&](const auto& entry) {
    return entry.first != directory && IsWithin(entry.first, directory);
  });
}

void TreeModel::Add(const std::string& path, const TreeEntry& entry) {
  entries_[path] = entry;
  CountLinks();
}

void TreeModel::Remove(const std::string& path) {
  entries_.erase(path);
  CountLinks();
}

TreeModel::Entries TreeModel::Extract(const std::string& path) {
  Entries extracted;
  for (auto at = entries_.begin(); at != entries_.end();) {
    if (!IsWithin(at->first, path)) {
      ++at;
      continue;
    }
    extracted.insert(*at);
    at = entries_.erase(at);
  }
  return extracted;
}

void TreeModel::Rename(const std::string& from, const std::string& to, RenameMode mode) {
  const Entries moved = Extract(from);
  const Entries replaced = Extract(to);
  for (const auto& [path, entry] : moved) entries_[Moved(path, from, to)] = entry;
  if (mode == RenameMode::kExchange) {
    for (const auto& [path, entry] : replaced) entries_[Moved(path, to, from)] = entry;
  }
  CountLinks();
}

void TreeModel::SetAttributes(InodeNumber ino, const AttributeChange& change) {
  for (auto& [path, entry] : entries_) {
    if (entry.ino != ino) continue;
    if (change.mode) entry.mode = (entry.mode & ~kPermissions) | *change.mode;
    entry.uid = change.uid.value_or(entry.uid);
    entry.gid = change.gid.value_or(entry.gid);
  }
}

void TreeModel::CountLinks() {
  std::map<InodeNumber, uint32_t> names;
  std::map<std::string, uint32_t> subdirectories;
  for (const auto& [path, entry] : entries_) {
    if (entry.ino) ++names[entry.ino];
    if (entry.IsDirectory() && !path.empty()) ++subdirectories[ParentPath(path)];
  }
  for (auto& [path, entry] : entries_) {
    const uint32_t of_file = entry.ino ? names[entry.ino] : 1;
    entry.nlink = entry.IsDirectory() ? 2 + subdirectories[path] : of_file;
  }
}

bool TreeModel::Matches(const TreeModel& other) const {
  return std::ranges::equal(entries_, other.entries_, [](const auto& a, const auto& b) {
    return a.first == b.first && IsSameEntry(a.second, b.second);
  });
}

std::string TreeModel::FirstDifference(const TreeModel& other) const {
  for (const auto& [path, entry] : entries_) {
    const auto found = other.entries_.find(path);
    if (found == other.entries_.end()) return "\"" + path + "\" is on one side only";
    if (!IsSameEntry(entry, found->second)) return "\"" + path + "\" has other attributes";
  }
  for (const auto& [path, entry] : other.entries_) {
    if (!entries_.contains(path)) return "\"" + path + "\" is on the other side only";
  }
  return "nothing differs";
}

}  // namespace velafs::layer
