#include "velafs/store/source_links.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <optional>
#include <set>

namespace velafs::store {
namespace {

using Kind = SourceEntry::Kind;

// Real path of what a link leads to, or the errno.
struct Resolved {
  std::string path;
  int error_number = 0;
};

Resolved Resolve(const std::string& link) {
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(link.c_str(), nullptr),
                                                         std::free);
  if (real == nullptr) return {"", errno};
  return {real.get(), 0};
}

bool IsUnder(const std::string& path, const std::string& directory) {
  return path == directory || path.starts_with(directory == "/" ? "/" : directory + "/");
}

std::vector<std::string> Components(const std::string& path) {
  std::vector<std::string> components;
  for (size_t at = 0; at < path.size();) {
    const size_t slash = std::min(path.find('/', at), path.size());
    if (slash > at) components.push_back(path.substr(at, slash - at));
    at = slash + 1;
  }
  return components;
}

std::string Join(const std::vector<std::string>& components) {
  std::string path;
  for (const std::string& component : components) path += (path.empty() ? "" : "/") + component;
  return path;
}

// The way from one directory of the branch to a path of it.
std::string Relative(const std::string& from_directory, const std::string& to) {
  const std::vector<std::string> from = Components(from_directory);
  const std::vector<std::string> into = Components(to);
  size_t common = 0;
  while (common < from.size() && common < into.size() && from[common] == into[common]) ++common;
  std::vector<std::string> way(from.size() - common, "..");
  way.insert(way.end(), into.begin() + static_cast<std::ptrdiff_t>(common), into.end());
  return way.empty() ? "." : Join(way);
}

class Resolver {
 public:
  Resolver(SourceTree& tree, const std::string& keep_out)
      : tree_(tree), source_(tree.source), keep_out_(keep_out) {}

  void Run() {
    // Directories first, and those found inside them: only then is it known what the branch has.
    for (size_t i = 0; i < tree_.links.size(); ++i) TakeDirectory(tree_.links[i]);
    for (const uint32_t link : tree_.links) {
      if (!settled_.contains(link)) Settle(link);
    }
  }

 private:
  SourceEntry& At(uint32_t entry) { return source_.entries[entry]; }
  std::string DirectoryOf(uint32_t link) { return source_.SourcePath(At(link).parent); }
  std::string BranchDirectoryOf(uint32_t link) { return source_.BranchPath(At(link).parent); }

  void Warn(uint32_t link, const std::string& text) {
    source_.warnings.push_back("\"" + source_.BranchPath(link) + "\" " + text);
  }

  // The root a real path lies in, the nearest if several.
  const std::pair<std::string, uint32_t>* RootOf(const std::string& path) const {
    const std::pair<std::string, uint32_t>* nearest = nullptr;
    for (const auto& root : tree_.roots) {
      if (!IsUnder(path, root.first)) continue;
      if (nearest == nullptr || root.first.size() > nearest->first.size()) nearest = &root;
    }
    return nearest;
  }

  // Where the branch has what is at a real path; empty when it does not.
  std::optional<std::string> InBranch(const std::string& path) const {
    const auto* root = RootOf(path);
    if (root == nullptr) return {};
    std::vector<std::string> components = Components(source_.BranchPath(root->second));
    for (std::string& name : Components(path.substr(root->first.size()))) {
      components.push_back(std::move(name));
    }
    return Join(components);
  }

  // A link to a directory that the branch does not have yet, or to a tablespace: the directory
  // takes its place.
  void TakeDirectory(uint32_t link) {
    const bool is_tablespace = tree_.IsTablespaceLink(link);
    const Resolved to = Resolve(source_.SourcePath(link));
    struct stat info;
    if (to.error_number != 0 || lstat(to.path.c_str(), &info) < 0 || !S_ISDIR(info.st_mode)) {
      if (is_tablespace && to.error_number == EACCES) {
        settled_.insert(link);
        tree_.AddProblem(link, "leads to \"" + At(link).target +
                                   "\", which cannot be read: " + Errno(EACCES).message());
      } else if (is_tablespace) {
        RefuseTablespace(link);
      }
      return;
    }
    if (!is_tablespace && RootOf(to.path) != nullptr) return;
    settled_.insert(link);
    if (IsUnder(DirectoryOf(link), to.path) || IsUnder(tree_.roots[0].first, to.path) ||
        IsUnder(keep_out_, to.path)) {
      tree_.AddProblem(link, "leads to \"" + to.path + "\", which contains what is imported");
      return;
    }
    if (!is_tablespace) {
      Warn(link,
           "leads out of the directory, to \"" + to.path + "\": its content is imported here");
    }
    SourceEntry& entry = At(link);
    entry.kind = Kind::kDirectory;
    entry.info = info;
    if (is_tablespace) entry.info.st_mode = S_IFDIR | 0700;
    entry.target.clear();
    entry.source_path = to.path;
    tree_.roots.emplace_back(to.path, link);
    tree_.WalkBelow(link);
  }

  void RefuseTablespace(uint32_t link) {
    settled_.insert(link);
    tree_.AddProblem(link, "leads to \"" + At(link).target +
                               "\", where there is no directory: tablespace " + At(link).name +
                               " would be missing; make it a link to that tablespace's directory, "
                               "or drop the tablespace before");
  }

  void Settle(uint32_t link) {
    const Resolved to = Resolve(source_.SourcePath(link));
    if (to.error_number == ENOENT || to.error_number == ENOTDIR) return SettleDangling(link);
    if (to.error_number == ELOOP) return tree_.AddProblem(link, "is a loop of links");
    if (to.error_number != 0) {
      return tree_.AddProblem(link, "cannot be read: " + Errno(to.error_number).message());
    }
    if (const std::optional<std::string> place = InBranch(to.path)) {
      if (!StaysInside(At(link).target, DepthInRoot(link))) {
        At(link).target = Relative(BranchDirectoryOf(link), *place);
      }
      return;
    }
    SourceEntry& entry = At(link);
    if (lstat(to.path.c_str(), &entry.info) < 0) {
      return tree_.AddProblem(link, "cannot be read: " + Errno(errno).message());
    }
    if (S_ISLNK(entry.info.st_mode)) return tree_.AddProblem(link, "changed while it was read");
    Warn(link, "leads out of the directory, to \"" + to.path + "\": its content is imported here");
    entry.target.clear();
    entry.source_path = to.path;
    tree_.AddFile(link, AT_FDCWD, to.path);
  }

  // Nothing is there now, but something may be one day: were the link kept as it is, a clone could
  // then write to it. So what leads out is taken as seen from a process that has the branch as its
  // root.
  void SettleDangling(uint32_t link) {
    const std::string target = At(link).target;
    if (!StaysInside(target, DepthInRoot(link))) {
      const std::string directory = BranchDirectoryOf(link);
      const std::optional<std::string> known =
          target.starts_with('/') ? InBranch(target) : std::optional<std::string>();
      std::vector<std::string> place;
      if (!target.starts_with('/')) place = Components(directory);
      for (const std::string& component : Components(known.value_or(target))) {
        if (component == "..") {
          if (!place.empty()) place.pop_back();
        } else if (component != ".") {
          place.push_back(component);
        }
      }
      At(link).target = Relative(directory, Join(place));
    }
    const bool kept = At(link).target == target;
    Warn(link, "is a link to \"" + target + "\", where nothing is" +
                   (kept ? "" : "; in the branch it leads to \"" + At(link).target + "\""));
  }

  // Steps from the root the link lies in down to its directory.
  size_t DepthInRoot(uint32_t link) {
    const std::string directory = DirectoryOf(link);
    const auto* root = RootOf(directory);
    return root == nullptr ? 0 : Components(directory.substr(root->first.size())).size();
  }

  SourceTree& tree_;
  Source& source_;
  const std::string& keep_out_;
  std::set<uint32_t> settled_;
};

}  // namespace

bool StaysInside(const std::string& target, size_t depth) {
  if (target.starts_with('/')) return false;
  size_t up = 0;
  bool down = false;
  for (const std::string& component : Components(target)) {
    if (component == ".") continue;
    if (component != "..") {
      down = true;
    } else if (down || ++up > depth) {
      return false;
    }
  }
  return true;
}

void ResolveLinks(SourceTree& tree, const std::string& keep_out) { Resolver(tree, keep_out).Run(); }

}  // namespace velafs::store
