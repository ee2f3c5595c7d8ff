#include "velafs/store/import/member_tree.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <functional>

#include "velafs/base/ids.h"
#include "velafs/base/text.h"
#include "velafs/os/acting_as.h"
#include "velafs/store/import/source_backup.h"
#include "velafs/store/import/source_config.h"
#include "velafs/store/import/source_links.h"
#include "velafs/store/import/source_tablespaces.h"
#include "velafs/store/import/source_tree.h"
#include "velafs/store/import/wal_tablespaces.h"

namespace velafs::store {
namespace {

using Kind = SourceEntry::Kind;

constexpr size_t kMaxMembers = 20'000'000;
constexpr size_t kMaxTextBytes = 256 << 20;  // of all names and links together
constexpr size_t kMaxNamed = 10;
constexpr size_t kMaxPathBytes = 4096;
constexpr size_t kMaxNameBytes = 255;
constexpr size_t kMaxConfigSteps = 4;  // of a file that a configuration may include
constexpr uint64_t kMaxWalSegmentBytes = uint64_t{1} << 30;
// What import reads of the top directory.
constexpr std::array<std::string_view, 9> kReadFiles = {
    "PG_VERSION",           "backup_label",    "tablespace_map",
    "recovery.conf",        "postgresql.conf", "recovery.signal",
    "postgresql.auto.conf", "postmaster.pid",  "postmaster.opts"};

// Of a path in an archive; without steps for its top directory. Refused when it may not be there.
Result<std::vector<std::string_view>> StepsOf(std::string_view path) {
  std::vector<std::string_view> steps;
  if (path.empty()) return Refused("it has a member without a name");
  if (path.size() > kMaxPathBytes) return Refused("it has a path of more than 4096 bytes");
  if (path.starts_with('/')) return Refused(Quoted(path) + " is a path from the root");
  if (path.find('\0') != std::string_view::npos) return Refused("it has a zero byte in a name");
  while (!path.empty()) {
    const std::string_view step = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), step.size() + 1));
    if (step == "..") return Refused("a path of it leads out of the archive, through \"..\"");
    if (step.size() > kMaxNameBytes) return Refused("it has a name of more than 255 bytes");
    if (!step.empty() && step != ".") steps.push_back(step);
  }
  return steps;
}

// Of what is below the top directory.
bool MayBeLeftOut(std::span<const std::string_view> steps) {
  if (steps.size() < 2) return false;
  if (IsEmptiedDirectory(steps[0]) || steps[0] == kOldTablespaces) return true;
  return steps.size() > 2 && steps[0] == kTablespaceLinks && IsOid(steps[1]) &&
         !steps[2].starts_with("PG_");
}

bool IsWalSegment(const std::vector<std::string_view>& steps) {
  if (steps.size() < 2 || !IsWalSegmentName(std::string(steps.back()))) return false;
  const std::string_view directory = steps[steps.size() - 2];
  return directory == "pg_wal" || directory == "pg_xlog";
}

// Whether a file is read, changed, or perhaps left out, once the whole archive has come. The
// PGDATA may be a directory of the archive.
bool IsDecidedLater(const std::vector<std::string_view>& steps) {
  const std::string_view name = steps.back();
  if (steps.size() <= 2 && std::ranges::find(kReadFiles, name) != kReadFiles.end()) return true;
  if (steps.size() <= kMaxConfigSteps && name.ends_with(".conf")) return true;
  if (steps.size() < 2) return false;
  const std::string_view directory = steps[steps.size() - 2];
  if (directory == "global" && name == "pg_control") return true;
  return IsWalSegment(steps) || MayBeLeftOut(steps) || MayBeLeftOut(std::span(steps).subspan(1));
}

timespec ToTimespec(TimeNs time) {
  constexpr TimeNs kSecond = 1'000'000'000;
  TimeNs seconds = time / kSecond;
  TimeNs rest = time % kSecond;
  if (rest < 0) {
    --seconds;
    rest += kSecond;
  }
  return {seconds, rest};
}

}  // namespace

size_t MemberTree::KeyHash::operator()(const Key& key) const {
  return std::hash<std::string>()(key.name) ^ (size_t{key.directory} * 0x9e3779b97f4a7c15);
}

MemberTree::MemberTree(std::string archive, std::optional<FileOwner> owner) : owner_(owner) {
  AddEntry(0, "");
  source_.entries[0].source_path = std::move(archive);
}

Result<MemberTree::Added> MemberTree::Add(const Member& member) {
  VELAFS_ASSIGN(const Steps steps, StepsOf(member.path));
  if (std::ranges::any_of(steps, IsTemporary)) return Added();
  if (member.kind == Member::Kind::kFifo) {
    if (++left_out_count_ <= kMaxNamed) left_out_.push_back(member.path);
    return Added();
  }
  if (steps.empty()) {
    VELAFS_TRY(FillDirectory(0, member));
    return Added();
  }
  if (source_.entries.size() >= kMaxMembers) return Refused("it has more than 20000000 members");
  text_bytes_ += member.path.size() + member.target.size();
  if (text_bytes_ > kMaxTextBytes) return Refused("its names are more than 256 MiB");
  VELAFS_ASSIGN(const uint32_t directory, Enter(steps, steps.size() - 1));
  const std::optional<uint32_t> found = Find(directory, steps.back());
  if (found) {
    const bool is_directory = source_.entries[*found].kind == Kind::kDirectory;
    if (!is_directory || member.kind != Member::Kind::kDirectory) {
      return Refused(Quoted(member.path) + " is in the archive twice");
    }
    VELAFS_TRY(FillDirectory(*found, member));
    return Added();
  }
  Added added;
  VELAFS_TRY(MakeEntry(member, steps, directory, &added.entry));
  if (member.kind == Member::Kind::kFile) {
    added.content = IsDecidedLater(steps) ? Content::kSpooled : Content::kStored;
  }
  return added;
}

Status MemberTree::MakeEntry(const Member& member, const Steps& steps, uint32_t directory,
                             uint32_t* entry) {
  if (member.kind == Member::Kind::kHardLink) {
    // Looked for first: it is no link to itself.
    VELAFS_ASSIGN(const Steps target, StepsOf(member.target));
    const std::optional<uint32_t> found = FindPath(target);
    const Kind kind = found ? source_.entries[*found].kind : Kind::kNothing;
    if (kind != Kind::kFile && kind != Kind::kOtherName) {
      return Refused(Quoted(member.path) + " is a hard link to " + Quoted(member.target) +
                     (kind == Kind::kNothing ? ", which is not in the archive before it"
                                             : ", which is no file"));
    }
    *entry = AddEntry(directory, steps.back());
    source_.entries[*entry].kind = Kind::kOtherName;
    source_.entries[*entry].same_as =
        kind == Kind::kFile ? *found : source_.entries[*found].same_as;
    return {};
  }
  if (member.kind == Member::Kind::kFile && member.size_bytes > kMaxFileBytes) {
    return Refused(Quoted(member.path) + " is larger than 64 TiB");
  }
  if (IsWalSegment(steps) && member.size_bytes > kMaxWalSegmentBytes) {
    return Refused(Quoted(member.path) + " is larger than a WAL segment can be, 1 GiB");
  }
  const bool is_bad_target = member.target.empty() || member.target.size() >= kMaxPathBytes ||
                             member.target.find('\0') != std::string::npos;
  if (member.kind == Member::Kind::kSymlink && is_bad_target) {
    return Refused(Quoted(member.path) + " is a link to an impossible path");
  }
  *entry = AddEntry(directory, steps.back());
  if (member.kind == Member::Kind::kDirectory) return FillDirectory(*entry, member);
  SourceEntry& made = source_.entries[*entry];
  const bool is_link = member.kind == Member::Kind::kSymlink;
  made.kind = is_link ? Kind::kSymlink : Kind::kFile;
  Fill(*entry, member, is_link ? S_IFLNK | 0777 : S_IFREG | (member.mode & 0777));
  if (is_link) made.target = member.target;
  return {};
}

Status MemberTree::FillDirectory(uint32_t entry, const Member& member) {
  if (member.kind != Member::Kind::kDirectory) {
    return Refused("the top of the archive is not a directory");
  }
  Fill(entry, member, S_IFDIR | (member.mode & 03777));
  return {};
}

void MemberTree::Fill(uint32_t entry, const Member& member, mode_t mode) {
  struct stat& info = source_.entries[entry].info;
  info.st_mode = mode;
  info.st_uid = owner_ ? owner_->uid : member.uid;
  info.st_gid = owner_ ? owner_->gid : member.gid;
  info.st_mtim = info.st_atim = ToTimespec(member.mtime);
  info.st_ctim = ToTimespec(NowNs());
  info.st_size = static_cast<off_t>(member.size_bytes);
  is_filled_[entry] = true;
}

Result<uint32_t> MemberTree::Enter(const Steps& steps, size_t count) {
  uint32_t at = 0;
  for (size_t i = 0; i < count; ++i) {
    const std::optional<uint32_t> next = Find(at, steps[i]);
    if (next && source_.entries[*next].kind != Kind::kDirectory) {
      return Refused(Quoted(source_.BranchPath(*next)) +
                     " is not a directory, but the archive has files in it");
    }
    at = next ? *next : AddEntry(at, steps[i]);
  }
  return at;
}

uint32_t MemberTree::AddEntry(uint32_t directory, std::string_view name) {
  const auto index = static_cast<uint32_t>(source_.entries.size());
  SourceEntry entry;
  entry.parent = directory;
  entry.name = name;
  entry.info.st_mode = S_IFDIR | 0700;
  entry.info.st_mtim = entry.info.st_atim = entry.info.st_ctim = ToTimespec(NowNs());
  source_.entries.push_back(std::move(entry));
  names_.emplace(Key{directory, std::string(name)}, index);
  is_filled_.push_back(false);
  return index;
}

std::optional<uint32_t> MemberTree::Find(uint32_t directory, std::string_view name) const {
  const auto found = names_.find(Key{directory, std::string(name)});
  if (found == names_.end()) return {};
  return found->second;
}

std::optional<uint32_t> MemberTree::FindPath(const Steps& steps) const {
  std::optional<uint32_t> at = 0;
  for (const std::string_view step : steps) {
    at = Find(*at, step);
    if (!at) return {};
  }
  return at;
}

Result<Source> MemberTree::Finish(Spool spool, const ImportOptions& options,
                                  const ConfigReader& config) {
  names_.clear();
  source_.spool = std::move(spool);
  ChooseRoot();
  const uint32_t global = source_.Find(0, "global");
  const uint32_t control = global == 0 ? 0 : source_.Find(global, "pg_control");
  for (const auto& [entry, name] : {std::pair(source_.Find(0, "PG_VERSION"), "PG_VERSION"),
                                    std::pair(control, "global/pg_control")}) {
    if (entry != 0 && source_.entries[entry].kind == Kind::kFile) continue;
    return Refused(std::string("it is not a PostgreSQL data directory: it has no ") + name,
                   "give the archive of the directory that PGDATA or `show data_directory` names");
  }
  VELAFS_TRY(BringInTablespaces());
  VELAFS_TRY(AddConfiguration(source_, options.config_dir, config));
  is_filled_.resize(source_.entries.size(), true);
  VELAFS_TRY(WarnOfIncludes(source_));
  VELAFS_TRY(CheckBackupIsWhole(source_, options.allow_missing_wal));
  if (source_.Find(0, "postmaster.pid") != 0 && source_.Find(0, "backup_label") == 0) {
    source_.warnings.push_back(
        "it has a postmaster.pid: if a server ran while its files were packed, they do not fit "
        "each other; pg_basebackup makes archives of a running server");
  }
  LeaveOut();
  VELAFS_TRY(MakeFirstNames());
  GiveOwners();
  VELAFS_TRY(CheckLinks(options.links));
  WarnOfLeftOut();
  CountLinks(source_.entries);
  VELAFS_TRY(KeepTablespacesInside(source_));
  return std::move(source_);
}

void MemberTree::ChooseRoot() {
  if (source_.Find(0, "PG_VERSION") != 0) return;
  uint32_t only = 0;
  for (uint32_t i = 1; i < source_.entries.size(); ++i) {
    if (source_.entries[i].parent != 0) continue;
    if (only != 0 || source_.entries[i].kind != Kind::kDirectory) return;
    only = i;
  }
  if (only == 0) return;
  for (SourceEntry& entry : source_.entries) {
    if (entry.parent == only) entry.parent = 0;
  }
  source_.entries[0].info = source_.entries[only].info;
  source_.entries[only].kind = Kind::kNothing;
  is_filled_[0] = is_filled_[only];
}

// Exports of earlier versions have links in pg_tblspc to directories that they have elsewhere.
Status MemberTree::BringInTablespaces() {
  const SourceTree tree(source_);
  const uint32_t old = source_.Find(0, kOldTablespaces);
  for (uint32_t i = 1; i < source_.entries.size(); ++i) {
    SourceEntry& link = source_.entries[i];
    if (link.kind != Kind::kSymlink || !tree.IsTablespaceLink(i)) continue;
    const bool is_ours = link.target == "../" + std::string(kOldTablespaces) + "/" + link.name;
    const uint32_t directory = old == 0 || !is_ours ? 0 : source_.Find(old, link.name);
    if (directory == 0 || source_.entries[directory].kind != Kind::kDirectory) {
      return Refused(Quoted(source_.SourcePath(i)) + " leads to " + Quoted(link.target) +
                         ", which is not in the archive: tablespace " + link.name +
                         " would be missing",
                     "unpack it where its links are good, and use --from-dir");
    }
    for (SourceEntry& entry : source_.entries) {
      if (entry.parent == directory) entry.parent = i;
    }
    link.kind = Kind::kDirectory;
    link.info = source_.entries[directory].info;
    link.info.st_mode = S_IFDIR | 0700;
    link.target.clear();
    source_.entries[directory].kind = Kind::kNothing;
  }
  return {};
}

void MemberTree::LeaveOut() {
  const SourceTree tree(source_);
  // Whether anything above is left out is asked of each: a directory may come behind what is in it.
  std::vector<bool> is_left_out(source_.entries.size());
  for (uint32_t i = 1; i < source_.entries.size(); ++i) {
    const SourceEntry& entry = source_.entries[i];
    is_left_out[i] = entry.kind != Kind::kNothing && tree.IsLeftOut(entry.parent, entry.name);
  }
  for (uint32_t i = 1; i < source_.entries.size(); ++i) {
    for (uint32_t at = i; at != 0; at = source_.entries[at].parent) {
      if (is_left_out[at]) is_left_out[i] = true;
    }
  }
  for (uint32_t i = 1; i < source_.entries.size(); ++i) {
    if (is_left_out[i]) source_.entries[i].kind = Kind::kNothing;
  }
}

// A file whose first name is left out goes by its next one.
Status MemberTree::MakeFirstNames() {
  std::unordered_map<uint32_t, uint32_t> renamed;
  for (uint32_t i = 1; i < source_.entries.size(); ++i) {
    SourceEntry& entry = source_.entries[i];
    if (entry.kind != Kind::kOtherName) continue;
    SourceEntry& first = source_.entries[entry.same_as];
    if (first.kind == Kind::kFile) continue;
    const auto [other, is_first] = renamed.emplace(entry.same_as, i);
    if (!is_first) {
      entry.same_as = other->second;
      continue;
    }
    const auto content = source_.spool->offsets.extract(entry.same_as);
    if (!content) {
      return Refused(Quoted(source_.SourcePath(i)) +
                     " is a hard link to a file that is not imported");
    }
    source_.spool->offsets[i] = content.mapped();
    entry.kind = Kind::kFile;
    entry.info = first.info;
  }
  return {};
}

// pg_basebackup leaves the top directory out of its archives. A directory that was a link, as
// pg_wal may be, has the owner of that link there, which may be root.
void MemberTree::GiveOwners() {
  const struct stat version = source_.entries[source_.Find(0, "PG_VERSION")].info;
  const SourceTree tree(source_);
  for (uint32_t i = 0; i < source_.entries.size(); ++i) {
    if (source_.entries[i].kind != Kind::kDirectory) continue;
    const bool is_links_owner =
        i != 0 && source_.entries[i].info.st_uid == 0 && tree.IsPostgresOwn(i);
    if (is_filled_[i] && !is_links_owner) continue;
    source_.entries[i].info.st_uid = version.st_uid;
    source_.entries[i].info.st_gid = version.st_gid;
  }
}

Status MemberTree::CheckLinks(LinksOut links_out) {
  for (uint32_t i = 1; i < source_.entries.size(); ++i) {
    SourceEntry& entry = source_.entries[i];
    if (entry.kind != Kind::kSymlink) continue;
    const std::string path = source_.BranchPath(i);
    const auto depth = static_cast<size_t>(std::ranges::count(path, '/'));
    if (StaysInside(entry.target, depth)) continue;
    const std::string said = Quoted(path) + " leads to " + Quoted(entry.target);
    const bool is_own = SourceTree(source_).IsPostgresOwn(i);
    if (links_out == LinksOut::kSkip && !is_own) {
      entry.kind = Kind::kNothing;
      source_.warnings.push_back(said + ", out of the archive: it is left out");
      continue;
    }
    return Refused(said + ", out of the archive",
                   std::string("unpack it where its links are good, and use --from-dir") +
                       (is_own ? "" : "; --links skip leaves it out"));
  }
  return {};
}

void MemberTree::WarnOfLeftOut() {
  if (left_out_count_ == 0) return;
  std::string names;
  for (const std::string& path : left_out_) names += (names.empty() ? "" : ", ") + Quoted(path);
  if (left_out_count_ > kMaxNamed) {
    names += " and " + std::to_string(left_out_count_ - kMaxNamed) + " more";
  }
  source_.warnings.push_back("FIFOs are left out, as pg_basebackup does: " + names);
}

}  // namespace velafs::store
