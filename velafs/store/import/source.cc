#include "velafs/store/import/source.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <memory>

#include "velafs/base/counted.h"
#include "velafs/base/text.h"
#include "velafs/store/import/running_server.h"
#include "velafs/store/import/source_backup.h"
#include "velafs/store/import/source_config.h"
#include "velafs/store/import/source_links.h"
#include "velafs/store/import/source_open.h"
#include "velafs/store/import/source_tablespaces.h"
#include "velafs/store/import/source_tree.h"

namespace velafs::store {
namespace {

using Kind = SourceEntry::Kind;

constexpr size_t kMaxProblemsNamed = 10;
constexpr size_t kMaxLinksNamed = 50;
constexpr size_t kMaxReadBytes = 1024 * 1024;

Status CannotRead(const std::string& path, int error_number) {
  const std::string what = "\"" + path + "\" cannot be read";
  if (error_number != EACCES && error_number != EPERM) return SystemError(error_number, what);
  return Refused(what + ": " + Errno(error_number).message());
}

Result<std::string> RealDirectory(const std::string& directory) {
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(directory.c_str(), nullptr),
                                                         std::free);
  if (real == nullptr) {
    if (errno == ENOENT) return NotFound("there is no directory \"" + directory + "\"");
    return CannotRead(directory, errno);
  }
  return std::string(real.get());
}

bool HasBaseTar(const std::string& root) {
  return std::ranges::any_of(std::array{"", ".gz", ".zst", ".lz4", ".xz", ".bz2"},
                             [&root](const char* suffix) {
                               struct stat info;
                               return stat((root + "/base.tar" + suffix).c_str(), &info) == 0;
                             });
}

Status CheckIsDataDirectory(const std::string& root) {
  for (const char* file : {"PG_VERSION", "global/pg_control"}) {
    struct stat info;
    if (stat((root + "/" + file).c_str(), &info) != 0) {
      if (errno != ENOENT && errno != ENOTDIR) return CannotRead(root + "/" + file, errno);
    } else if (S_ISREG(info.st_mode)) {
      continue;
    }
    return Refused(
        "it is not a PostgreSQL data directory: it has no " + std::string(file),
        HasBaseTar(root)
            ? "it holds a backup's archives: --from-tar " + ShellWord(root) + " imports those"
            : "name the directory that PGDATA or `show data_directory` names");
  }
  return {};
}

// Whether nobody but root can put another program at the path.
bool IsRootsProgram(const std::string& path) {
  if (!path.starts_with('/')) return false;
  for (std::string at = path; !at.empty(); at.resize(at.rfind('/'))) {
    struct stat info;
    if (lstat(at.c_str(), &info) != 0 || info.st_uid != 0) return false;
    if (!S_ISDIR(info.st_mode) && (at != path || !S_ISREG(info.st_mode))) return false;
    if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) return false;
  }
  return access(path.c_str(), X_OK) == 0;
}

// The pg_ctl beside the server's program, which is seldom on a PATH. Not one that somebody may have
// put there for others to run.
std::string PgCtlOf(pid_t pid) {
  std::array<char, PATH_MAX> target;
  const std::string link = "/proc/" + std::to_string(pid) + "/exe";
  const ssize_t length = readlink(link.c_str(), target.data(), target.size());
  if (length <= 0) return "pg_ctl";
  const std::string program(target.data(), static_cast<size_t>(length));
  const std::string found = program.substr(0, program.rfind('/') + 1) + "pg_ctl";
  return IsRootsProgram(found) ? ShellWord(found) : "pg_ctl";
}

// `config_dir`: of a cluster of Debian's, which has a name.
Status CheckIsStopped(const std::string& root, const std::optional<std::string>& config_dir) {
  const std::optional<pid_t> pid = ServerRunningOn(root);
  if (!pid) return {};
  std::string stop = PgCtlOf(*pid) + " -D " + ShellWord(root) + " stop";
  if (const auto cluster = config_dir ? ClusterAt(*config_dir) : std::nullopt) {
    stop = "pg_ctlcluster " + cluster->version + " " + ShellWord(cluster->name) + " stop";
  }
  return Refused("a server runs on it, process " + std::to_string(*pid), "stop it first: " + stop);
}

// False when the file was written or replaced in between.
bool IsSame(const struct stat& then, const struct stat& now) {
  return now.st_dev == then.st_dev && now.st_ino == then.st_ino && now.st_size == then.st_size &&
         ToTimeNs(now.st_mtim) == ToTimeNs(then.st_mtim) && now.st_nlink != 0;
}

// Fills `into`; false with errno, or with errno 0 when the file ends first.
bool ReadAll(int fd, uint64_t offset, std::span<std::byte> into) {
  while (!into.empty()) {
    const ssize_t got = pread(fd, into.data(), into.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      if (got == 0) errno = 0;
      return false;
    }
    offset += static_cast<uint64_t>(got);
    into = into.subspan(static_cast<size_t>(got));
  }
  return true;
}

// Copies what of `bytes`, which belong at `at`, belongs into the part of a file that begins at
// `offset`.
void Overlay(uint64_t at, const std::string& bytes, uint64_t offset, std::span<std::byte> into) {
  const uint64_t begin = std::max(at, offset);
  const uint64_t end = std::min(at + bytes.size(), offset + into.size());
  for (uint64_t i = begin; i < end; ++i) into[i - offset] = static_cast<std::byte>(bytes[i - at]);
}

}  // namespace

void CountLinks(std::vector<SourceEntry>& entries) {
  for (uint32_t i = 0; i < entries.size(); ++i) {
    SourceEntry& entry = entries[i];
    if (entry.kind == SourceEntry::Kind::kNothing) continue;
    if (entry.kind == SourceEntry::Kind::kDirectory) {
      entry.nlink += 2;
      if (i != 0) ++entries[entry.parent].nlink;
    } else if (entry.kind == SourceEntry::Kind::kOtherName) {
      ++entries[entry.same_as].nlink;
    } else {
      ++entry.nlink;
    }
  }
}

// Not by recursion: whoever made the source may have nested its directories without end.
std::string Source::PathFrom(uint32_t top, std::string path, uint32_t entry) const {
  std::vector<uint32_t> way;
  for (; entry != top; entry = entries[entry].parent) way.push_back(entry);
  for (auto next = way.rbegin(); next != way.rend(); ++next) {
    if (!path.empty()) path += '/';
    path += entries[*next].name;
  }
  return path;
}

std::string Source::SourcePath(uint32_t entry) const {
  uint32_t top = entry;
  while (entries[top].source_path.empty()) top = entries[top].parent;
  return PathFrom(top, entries[top].source_path, entry);
}

uint32_t Source::Find(uint32_t directory, std::string_view name) const {
  for (uint32_t i = 1; i < entries.size(); ++i) {
    const SourceEntry& entry = entries[i];
    if (entry.parent == directory && entry.name == name && entry.kind != Kind::kNothing) return i;
  }
  return 0;
}

bool Source::IsText(uint32_t entry) const {
  const auto change = changes.find(entry);
  return change != changes.end() && change->second.is_all;
}

uint32_t Source::AddMade(uint32_t directory, const std::string& name, mode_t mode) {
  const struct stat& owned = entries[Find(0, "PG_VERSION")].info;
  SourceEntry entry;
  entry.parent = directory;
  entry.depth = entries[directory].depth + 1;
  entry.name = name;
  entry.info.st_mode = mode;
  entry.info.st_uid = owned.st_uid;
  entry.info.st_gid = owned.st_gid;
  entry.info.st_mtim = entry.info.st_atim = entry.info.st_ctim = owned.st_ctim;
  if (S_ISREG(mode)) entry.kind = Kind::kFile;
  entries.push_back(std::move(entry));
  return static_cast<uint32_t>(entries.size() - 1);
}

void Source::AddText(uint32_t directory, const std::string& name, std::string text,
                     timespec mtime) {
  const uint32_t entry = AddMade(directory, name, S_IFREG | 0600);
  entries[entry].info.st_mtim = mtime;
  changes[entry] = {{}, std::move(text), true};
}

uint32_t Source::AddDirectory(uint32_t directory, const std::string& name) {
  return AddMade(directory, name, S_IFDIR | 0700);
}

Result<std::string> Source::ReadText(uint32_t entry) const {
  if (entries[entry].kind == Kind::kOtherName) entry = entries[entry].same_as;
  if (entries[entry].kind != Kind::kFile || !HasContent(entry)) return std::string();
  VELAFS_ASSIGN(const os::UniqueFd fd, Open(entry));
  std::string text(std::min<uint64_t>(kMaxReadBytes, SizeOf(entry)), '\0');
  VELAFS_TRY(Read(entry, fd.get(), 0, std::as_writable_bytes(std::span(text))));
  return text;
}

Result<std::string> Source::ReadTopFile(const std::string& name) const {
  const uint32_t entry = Find(0, name);
  const Kind kind = entries[entry].kind;
  if (kind == Kind::kFile || kind == Kind::kOtherName) return ReadText(entry);
  if (spool) return std::string();
  // What the branch is not to have, tablespace_map for one.
  VELAFS_ASSIGN(const os::ActingAs acting, os::ActingAs::Begin(reader));
  std::string text(kMaxReadBytes, '\0');
  const std::string path = SourcePath(0) + "/" + name;
  const os::UniqueFd fd = OpenWithoutLinks(path, O_RDONLY);
  if (!fd && (errno == ENOENT || errno == ELOOP)) return std::string();
  struct stat info;
  if (!fd || fstat(fd.get(), &info) < 0) return SystemError(errno, "cannot read \"" + path + "\"");
  if (!S_ISREG(info.st_mode)) return std::string();
  const ssize_t got = pread(fd.get(), text.data(), text.size(), 0);
  if (got < 0) return SystemError(errno, "cannot read \"" + path + "\"");
  text.resize(static_cast<size_t>(got));
  return text;
}

bool Source::HasContent(uint32_t entry) const {
  return !spool || spool->offsets.contains(entry) || IsText(entry);
}

uint64_t Source::BeginOf(uint32_t entry) const {
  return spool && !IsText(entry) ? spool->offsets.at(entry) : 0;
}

std::string Source::BranchPath(uint32_t entry) const { return PathFrom(0, "", entry); }

Result<os::UniqueFd> Source::Open(uint32_t entry) const {
  if (IsText(entry)) {
    os::UniqueFd nothing(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!nothing) return SystemError(errno, "cannot open \"/dev/null\"");
    return nothing;
  }
  if (spool) {
    os::UniqueFd same(fcntl(spool->file.get(), F_DUPFD_CLOEXEC, 0));
    if (!same) return SystemError(errno, "cannot open \"" + SourcePath(entry) + "\"");
    return same;
  }
  VELAFS_ASSIGN(const os::ActingAs acting, os::ActingAs::Begin(reader));
  const std::string path = SourcePath(entry);
  os::UniqueFd fd = OpenWithoutLinks(path, O_RDONLY);
  if (!fd && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) return Changed(entry);
  if (!fd) return SystemError(errno, "cannot open \"" + path + "\"");
  VELAFS_TRY(CheckUnchanged(entry, fd.get()));
  return fd;
}

uint64_t Source::SizeOf(uint32_t entry) const {
  const auto change = changes.find(entry);
  const uint64_t own_bytes = static_cast<uint64_t>(entries[entry].info.st_size);
  return change == changes.end() ? own_bytes : own_bytes + change->second.suffix.size();
}

Status Source::Read(uint32_t entry, int fd, uint64_t offset, std::span<std::byte> into) const {
  const uint64_t own_bytes = static_cast<uint64_t>(entries[entry].info.st_size);
  const uint64_t left = offset < own_bytes ? own_bytes - offset : 0;
  if (!ReadAll(fd, BeginOf(entry) + offset, into.first(std::min<uint64_t>(into.size(), left)))) {
    if (errno == 0) return Changed(entry);
    return SystemError(errno, "cannot read \"" + SourcePath(entry) + "\"");
  }
  const auto change = changes.find(entry);
  if (change == changes.end()) return {};
  for (const BytePatch& patch : change->second.patches) {
    Overlay(patch.offset_bytes, patch.bytes, offset, into);
  }
  Overlay(own_bytes, change->second.suffix, offset, into);
  return {};
}

Status Source::CheckUnchanged(uint32_t entry, int fd) const {
  if (spool || IsText(entry)) return {};
  struct stat now;
  if (fstat(fd, &now) < 0)
    return SystemError(errno, "cannot look at \"" + SourcePath(entry) + "\"");
  return IsSame(entries[entry].info, now) ? Status() : Changed(entry);
}

Status Source::Changed(uint32_t entry) const {
  return Failed("\"" + SourcePath(entry) + "\" changed while it was read");
}

Status Source::CheckAllUnchanged() const {
  if (spool) return {};
  VELAFS_ASSIGN(const os::ActingAs acting, os::ActingAs::Begin(reader));
  VELAFS_TRY(CheckIsStopped(SourcePath(0), config_dir));
  for (uint32_t i = 0; i < entries.size(); ++i) {
    if (entries[i].kind != SourceEntry::Kind::kFile || IsText(i)) continue;
    const os::UniqueFd fd = OpenWithoutLinks(SourcePath(i), O_PATH);
    struct stat now;
    if (!fd || fstat(fd.get(), &now) < 0 || !IsSame(entries[i].info, now)) return Changed(i);
  }
  return {};
}

namespace {

// "a", "b" and 3 more
std::string Named(const std::vector<std::string>& texts, size_t most) {
  std::string named;
  for (size_t i = 0; i < texts.size() && i < most; ++i) named += (i == 0 ? "" : ", ") + texts[i];
  return texts.size() <= most ? named
                              : named + " and " + std::to_string(texts.size() - most) + " more";
}

Status ProblemsStatus(const SourceTree& tree) {
  if (!tree.problems.empty()) {
    return Refused(Counted(tree.problems.size(), "file") +
                   " cannot be copied: " + Named(tree.problems, kMaxProblemsNamed));
  }
  if (tree.foreign_links.empty()) return {};
  const bool is_one = tree.foreign_links.size() == 1;
  return Refused(Counted(tree.foreign_links.size(), "link") + (is_one ? " leads" : " lead") +
                     " out of the directory: " + Named(tree.foreign_links, kMaxLinksNamed),
                 is_one ? "--links skip leaves it out, --links follow imports its target"
                        : "--links skip leaves them out, --links follow imports their targets");
}

Result<Source> FindFiles(const std::string& directory, const std::string& keep_out,
                         const os::Credentials& reader, const ImportOptions& options) {
  VELAFS_ASSIGN(const os::ActingAs acting, os::ActingAs::Begin(reader));
  VELAFS_ASSIGN(const std::string root, RealDirectory(directory));
  VELAFS_TRY(CheckIsDataDirectory(root));
  VELAFS_TRY(CheckIsStopped(root, DebianConfigOf(root)));
  if (IsUnder(keep_out, root)) return Refused("the store lies in it");

  Source source;
  source.reader = reader;
  SourceTree tree(source);
  VELAFS_TRY(tree.WalkRoot(root));
  ResolveLinks(tree, keep_out, options.links);
  VELAFS_TRY(ProblemsStatus(tree));
  if (!tree.left_out.empty()) {
    source.warnings.push_back("left out, as pg_basebackup does: " +
                              Named(tree.left_out, kMaxProblemsNamed));
  }
  return source;
}

}  // namespace

Result<Source> FindSource(const std::string& directory, const std::string& keep_out,
                          const os::Credentials& reader, const ImportOptions& options,
                          const std::optional<ConfigReader>& config) {
  VELAFS_ASSIGN(Source source, FindFiles(directory, keep_out, reader, options));
  VELAFS_TRY(AddConfiguration(source, options.config_dir, config.value_or(ConfigReader{reader})));
  // These read files, each with the reader's rights.
  VELAFS_TRY(WarnOfIncludes(source));
  VELAFS_TRY(CheckBackupIsWhole(source, options.allow_missing_wal));
  CountLinks(source.entries);
  VELAFS_TRY(KeepTablespacesInside(source));
  return source;
}

}  // namespace velafs::store
