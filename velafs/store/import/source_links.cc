#include "velafs/store/import/source_links.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <optional>
#include <set>

#include "velafs/store/import/content_size.h"

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
  Resolver(SourceTree& tree, const std::string& keep_out, LinksOut links_out)
      : tree_(tree), source_(tree.source), keep_out_(keep_out), links_out_(links_out) {}

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
    const bool contains_all = IsUnder(DirectoryOf(link), to.path) ||
                              IsUnder(tree_.roots[0].first, to.path) || IsUnder(keep_out_, to.path);
    if (!MayFollow(link, to.path, contains_all ? "contains the imported directory" : "")) return;
    if (contains_all) {
      tree_.AddProblem(link, "leads to \"" + to.path + "\", which contains the imported directory");
      return;
    }
    const size_t first_of_it = source_.entries.size();
    SourceEntry& entry = At(link);
    entry.kind = Kind::kDirectory;
    entry.info = info;
    if (is_tablespace) entry.info.st_mode = S_IFDIR | 0700;
    entry.target.clear();
    entry.source_path = to.path;
    tree_.roots.emplace_back(to.path, link);
    tree_.WalkBelow(link);
    if (!is_tablespace) WarnOfContent(link, to.path, SizeSince(first_of_it));
  }

  // Whether a link out of the directory is followed. One that is not is left out, or named to the
  // caller; `why_not` says why it could not be followed anyway.
  bool MayFollow(uint32_t link, const std::string& path, const std::string& why_not) {
    if (links_out_ == LinksOut::kFollow || tree_.IsPostgresOwn(link)) return true;
    settled_.insert(link);
    if (links_out_ == LinksOut::kSkip) {
      At(link).kind = Kind::kNothing;
      Warn(link, "leads out of the directory, to \"" + path + "\": it is left out");
      return false;
    }
    tree_.foreign_links.push_back(
        "\"" + source_.BranchPath(link) + "\" to \"" + path + "\"" +
        (why_not.empty() ? " (" + measure_.Of(path).ToString() + ")" : ", which " + why_not));
    return false;
  }

  ContentSize SizeSince(size_t first) const {
    ContentSize size;
    for (size_t i = first; i < source_.entries.size(); ++i) {
      const SourceEntry& entry = source_.entries[i];
      if (entry.kind != Kind::kFile) continue;
      ++size.files;
      size.bytes += static_cast<uint64_t>(entry.info.st_size);
    }
    return size;
  }

  void WarnOfContent(uint32_t link, const std::string& path, const ContentSize& size) {
    Warn(link, "leads out of the directory, to \"" + path + "\": its content is imported here (" +
                   size.ToString() + ")");
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
    if (to.error_number == ELOOP) return SettleLoop(link);
    if (to.error_number != 0) {
      const std::string why_not = "cannot be read: " + Errno(to.error_number).message();
      if (!MayFollow(link, At(link).target, why_not)) return;
      return tree_.AddProblem(link, "cannot be read: " + Errno(to.error_number).message());
    }
    if (const std::optional<std::string> place = InBranch(to.path)) {
      if (!StaysInside(At(link).target, DepthInRoot(link))) {
        At(link).target = Relative(BranchDirectoryOf(link), *place);
      }
      return;
    }
    if (!MayFollow(link, to.path, "")) return;
    SourceEntry& entry = At(link);
    if (lstat(to.path.c_str(), &entry.info) < 0) {
      return tree_.AddProblem(link, "cannot be read: " + Errno(errno).message());
    }
    if (S_ISLNK(entry.info.st_mode)) return tree_.AddProblem(link, "changed while it was read");
    entry.target.clear();
    entry.source_path = to.path;
    WarnOfContent(link, to.path, {static_cast<uint64_t>(entry.info.st_size), 1});
    tree_.AddFile(link, AT_FDCWD, to.path);
  }

  // It leads nowhere, and so not out of the directory.
  void SettleLoop(uint32_t link) {
    if (links_out_ != LinksOut::kSkip || tree_.IsPostgresOwn(link)) {
      return tree_.AddProblem(link, "is a loop of links");
    }
    At(link).kind = Kind::kNothing;
    Warn(link, "is a loop of links: it is left out");
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
  const LinksOut links_out_;
  ContentMeasure measure_;
  std::set<uint32_t> settled_;
};

}  // namespace

bool IsUnder(const std::string& path, const std::string& directory) {
  return path == directory || path.starts_with(directory == "/" ? "/" : directory + "/");
}

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

void ResolveLinks(SourceTree& tree, const std::string& keep_out, LinksOut links_out) {
  Resolver(tree, keep_out, links_out).Run();
}

}  // namespace velafs::store
