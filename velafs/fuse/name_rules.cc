#include "velafs/fuse/name_rules.h"

#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <optional>
#include <string>
#include <vector>

#include "velafs/fuse/node_id.h"
#include "velafs/layer/server_files.h"

namespace velafs::fuse {
namespace {

constexpr std::string_view kTablespaces = "pg_tblspc";
constexpr TimeNs kBetweenLines = 1'000'000'000;

// Whoever is refused something may try it as often as he likes: a line a second of each kind is
// enough. Thread-safe.
class Sparing {
 public:
  bool MaySay() {
    const TimeNs now = NowNs();
    TimeNs next = next_.load();
    return now >= next && next_.compare_exchange_strong(next, now + kBetweenLines);
  }

 private:
  std::atomic<TimeNs> next_ = 0;
};

// From the top directory down to `directory`; ENOENT when it is not reached from there.
Result<std::vector<InodeNumber>> WayTo(layer::Branch& branch, InodeNumber directory) {
  std::vector<InodeNumber> way = {directory};
  while (way.back() != branch.root()) {
    VELAFS_ASSIGN(const InodeNumber above, branch.Parent(way.back()));
    if (!above) return Errno(ENOENT);
    way.push_back(above);
  }
  std::reverse(way.begin(), way.end());
  return way;
}

std::optional<layer::Attributes> Find(layer::Branch& branch, InodeNumber directory,
                                      std::string_view name) {
  const auto found = branch.Lookup(directory, name);
  return found.ok() ? std::optional(*found) : std::nullopt;
}

bool IsTablespaces(layer::Branch& branch, InodeNumber directory) {
  const auto tablespaces = Find(branch, branch.root(), kTablespaces);
  return tablespaces && tablespaces->ino == directory;
}

// Whether the way is to pg_tblspc or into it.
bool LeadsToTablespaces(layer::Branch& branch, const std::vector<InodeNumber>& way) {
  return way.size() > 1 && IsTablespaces(branch, way[1]);
}

// Whether a link in the directory at the end of `way` leads to anything but what the branch itself
// has there now. Nothing on the way may be a link: that could lead elsewhere tomorrow.
bool LeadsOut(layer::Branch& branch, std::vector<InodeNumber> way, std::string_view target) {
  if (way.empty() || target.empty() || target.front() == '/') return true;
  while (!target.empty()) {
    const size_t slash = std::min(target.find('/'), target.size());
    const std::string_view step = target.substr(0, slash);
    target.remove_prefix(std::min(slash + 1, target.size()));
    if (step.empty() || step == ".") continue;
    if (step == "..") {
      way.pop_back();
      if (way.empty()) return true;
      continue;
    }
    const auto next = Find(branch, way.back(), step);
    if (!next || S_ISLNK(next->mode)) return true;
    way.push_back(next->ino);
  }
  return false;
}

Status RefuseLink(layer::Branch& branch, std::string_view name, std::string_view target) {
  static Sparing sparing;
  if (!sparing.MaySay()) return Errno(EPERM);
  spdlog::warn(
      "branch \"{}\": refused the link \"{}\" to \"{}\" in pg_tblspc: a tablespace of a branch "
      "lies "
      "inside it, so that clones do not share it; use CREATE TABLESPACE ... LOCATION ''",
      branch.name(), name, target);
  return Errno(EPERM);
}

// Checks a link `ino` that a change puts into the directory at the end of `way`: pg_tblspc or
// below.
Status CheckTablespaceLink(layer::Branch& branch, const std::vector<InodeNumber>& way,
                           std::string_view name, InodeNumber ino) {
  VELAFS_ASSIGN(const std::string target, branch.ReadLink(ino));
  return LeadsOut(branch, way, target) ? RefuseLink(branch, name, target) : Status();
}

// All links in the directory at the end of `way` and below it, when that comes to be pg_tblspc or
// part of it. EPERM, too, where there is more than a tablespace that is moved in one piece may
// hold.
Status CheckLinksBelow(layer::Branch& branch, std::vector<InodeNumber> way) {
  constexpr size_t kMaxNames = 100'000;
  size_t names = 0;
  std::vector<std::vector<InodeNumber>> ahead = {std::move(way)};
  while (!ahead.empty()) {
    const std::vector<InodeNumber> here = std::move(ahead.back());
    ahead.pop_back();
    std::vector<std::pair<std::string, InodeNumber>> links;
    VELAFS_TRY(branch.List(
        here.back(), 0,
        [&](layer::DirectoryCookie, const std::string& name, const layer::Attributes& found) {
          if (S_ISLNK(found.mode)) links.emplace_back(name, found.ino);
          if (S_ISDIR(found.mode)) {
            ahead.push_back(here);
            ahead.back().push_back(found.ino);
          }
          return ++names <= kMaxNames;
        }));
    if (names > kMaxNames) return Errno(EPERM);
    for (const auto& [name, ino] : links) {
      VELAFS_TRY(CheckTablespaceLink(branch, here, name, ino));
    }
  }
  return {};
}

// `moved` is to have that name in that directory.
Status CheckPlace(layer::Branch& branch, const layer::Attributes& moved, InodeNumber directory,
                  std::string_view name) {
  const bool becomes_tablespaces = directory == branch.root() && name == kTablespaces;
  if (S_ISLNK(moved.mode)) {
    if (becomes_tablespaces) return RefuseLink(branch, name, "a directory elsewhere");
    VELAFS_ASSIGN(const std::vector<InodeNumber> way, WayTo(branch, directory));
    if (!LeadsToTablespaces(branch, way)) return {};
    return CheckTablespaceLink(branch, way, name, moved.ino);
  }
  if (!S_ISDIR(moved.mode)) return {};
  std::vector<InodeNumber> way = {branch.root()};
  if (!becomes_tablespaces) {
    VELAFS_ASSIGN(way, WayTo(branch, directory));
    if (!LeadsToTablespaces(branch, way)) return {};
  }
  way.push_back(moved.ino);
  return CheckLinksBelow(branch, std::move(way));
}

}  // namespace

Status NameRules::CheckMayRemove(layer::Branch& branch, InodeNumber directory,
                                 std::string_view name, pid_t process) {
  if (name != layer::kServerLock) return {};
  static Sparing sparing;
  Status status = servers_.CheckMayRemove({branch.instance(), directory}, process);
  if (!status.ok() && sparing.MaySay()) {
    spdlog::warn("branch \"{}\": process {} may not remove postmaster.pid: {}", branch.name(),
                 process, status.message());
  }
  return status;
}

Result<layer::Attributes> NameRules::Make(layer::Branch& branch, InodeNumber directory,
                                          std::string_view name, const layer::NewNode& node,
                                          pid_t process) {
  if (S_ISLNK(node.mode)) {
    if (directory == branch.root() && name == kTablespaces) {
      return RefuseLink(branch, name, node.target);
    }
    VELAFS_ASSIGN(const std::vector<InodeNumber> way, WayTo(branch, directory));
    if (LeadsToTablespaces(branch, way) && LeadsOut(branch, way, node.target)) {
      return RefuseLink(branch, name, node.target);
    }
  }
  if (name != layer::kServerLock) return branch.Make(directory, name, node);

  const store::ServerPlace place{branch.instance(), directory};
  static Sparing sparing;
  const uint64_t shown_ino = ToNodeId(branch.instance(), directory);
  if (Status claimed = servers_.Claim(place, shown_ino, process); !claimed.ok()) {
    if (!sparing.MaySay()) return claimed;
    spdlog::warn("branch \"{}\": no server may start for process {}: {}", branch.name(), process,
                 claimed.error_number() == EPERM
                     ? "it is not of the daemon's PID namespace, so nobody could tell when it ends"
                     : claimed.message());
    return claimed;
  }
  auto made = branch.Make(directory, name, node);
  if (!made.ok()) servers_.Release(place, process);
  return made;
}

Status NameRules::Remove(layer::Branch& branch, InodeNumber directory, std::string_view name,
                         pid_t process) {
  VELAFS_TRY(CheckMayRemove(branch, directory, name, process));
  VELAFS_TRY(branch.Unlink(directory, name));
  if (name == layer::kServerLock) servers_.Release({branch.instance(), directory}, process);
  return {};
}

Status NameRules::Rename(layer::Branch& branch, InodeNumber from, std::string_view from_name,
                         InodeNumber to, std::string_view to_name, layer::RenameMode mode,
                         pid_t process) {
  VELAFS_TRY(CheckMayRemove(branch, from, from_name, process));
  VELAFS_TRY(CheckMayRemove(branch, to, to_name, process));
  if (const auto moved = Find(branch, from, from_name)) {
    VELAFS_TRY(CheckPlace(branch, *moved, to, to_name));
  }
  if (mode == layer::RenameMode::kExchange) {
    if (const auto moved = Find(branch, to, to_name)) {
      VELAFS_TRY(CheckPlace(branch, *moved, from, from_name));
    }
  }
  return branch.Rename(from, from_name, to, to_name, mode);
}

Result<layer::Attributes> NameRules::Link(layer::Branch& branch, InodeNumber ino,
                                          InodeNumber directory, std::string_view name) {
  VELAFS_ASSIGN(const layer::Attributes linked, branch.Get(ino));
  if (S_ISLNK(linked.mode)) VELAFS_TRY(CheckPlace(branch, linked, directory, name));
  return branch.Link(ino, directory, name);
}

}  // namespace velafs::fuse
