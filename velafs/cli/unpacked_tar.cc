#include "velafs/cli/unpacked_tar.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "velafs/cli/interrupt.h"
#include "velafs/cli/progress_bar.h"
#include "velafs/cli/remove_tree.h"
#include "velafs/cli/unpack.h"
#include "velafs/store/source_backup.h"
#include "velafs/store/source_tree.h"
#include "velafs/store/wal_tablespaces.h"

namespace velafs::cli {
namespace {

constexpr size_t kMaxTextBytes = 1024 * 1024;  // what import reads of such files, too

namespace fs = std::filesystem;

std::string Quoted(const std::string& text) { return "\"" + text + "\""; }

// NAME.tar, or NAME.tar with the suffix of a compression; "" when the directory has none. Of
// several it is the one with that suffix.
std::string FindTar(const fs::path& directory, const std::string& name, const std::string& suffix) {
  std::vector<std::string> found;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    const std::string file = at->path().filename();
    if (file == name + ".tar" || file.starts_with(name + ".tar.")) found.push_back(file);
  }
  std::ranges::sort(found);
  if (found.empty()) return "";
  const bool has_wanted = std::ranges::find(found, name + ".tar" + suffix) != found.end();
  return directory / (has_wanted ? name + ".tar" + suffix : found.front());
}

// Of a file that was just unpacked, the beginning; "" when there is none.
std::string ReadText(const std::string& path) {
  std::error_code error;
  if (!fs::is_regular_file(fs::symlink_status(path, error))) return "";
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxTextBytes, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  return text;
}

// Makes `names`, each in the one before, in `directory`, and goes there; through no symbolic link,
// as an archive may have one in the way.
Status EnterBelow(const std::string& directory, const std::vector<std::string>& names) {
  os::UniqueFd at(open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  std::string path = directory;
  for (const std::string& name : names) {
    path += "/" + name;
    if (at && mkdirat(at.get(), name.c_str(), 0700) != 0 && errno != EEXIST) break;
    at.Reset(openat(at.get(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  }
  if (!at || fchdir(at.get()) != 0) return SystemError(errno, "cannot make " + Quoted(path));
  return {};
}

Status Feed(Unpacker& unpacker, int fd, uint64_t bytes_total, bool quiet) {
  ProgressBar bar(!quiet && bytes_total > 0);
  std::vector<std::byte> buffer(1024 * 1024);
  uint64_t bytes_done = 0;
  for (;;) {
    // A signal that comes just before a read would not end its wait.
    constexpr int kLookAgainMs = 200;
    pollfd readable{fd, POLLIN, 0};
    if (Interrupted()) return Failed("interrupted");
    if (poll(&readable, 1, kLookAgainMs) <= 0) continue;
    const ssize_t count = read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return SystemError(errno, "cannot read the archive");
    if (count == 0) return {};
    VELAFS_TRY(unpacker.Take(std::span(buffer).first(static_cast<size_t>(count))));
    bytes_done += static_cast<uint64_t>(count);
    bar.Update(bytes_done, bytes_total);
  }
}

}  // namespace

UnpackedTar::~UnpackedTar() {
  if (directory_.empty()) return;
  std::error_code error;
  fs::current_path("/", error);
  RemoveTree(AT_FDCWD, directory_);
}

Status UnpackedTar::Unpack(const std::string& given) {
  std::error_code error;
  std::string tar = given;
  if (given != "-") {
    tar = fs::absolute(given, error);
    if (fs::is_directory(tar, error)) {
      const std::string base = FindTar(tar, "base", "");
      if (base.empty()) {
        return Refused(Quoted(given) + " is a directory without a base.tar",
                       "--from-dir imports a PGDATA that is not in an archive");
      }
      tar = base;
    }
  }
  VELAFS_TRY(MakeDirectory());
  VELAFS_TRY(UnpackHere(tar, {}));
  VELAFS_TRY(GiveOwner(top_));
  return UnpackRest(tar);
}

std::string UnpackedTar::DataDirectory() const {
  std::error_code error;
  if (fs::exists(top_ + "/PG_VERSION", error)) return top_;
  const std::vector<fs::path> entries(fs::directory_iterator(top_, error), {});
  return entries.size() == 1 && fs::is_directory(entries[0], error) ? entries[0].string() : top_;
}

Status UnpackedTar::MakeDirectory() {
  const char* temporary = std::getenv("TMPDIR");
  const bool is_set = temporary != nullptr && *temporary != '\0';
  std::string path = fs::absolute(is_set ? temporary : "/var/tmp") / "velafs-import-XXXXXX";
  if (mkdtemp(path.data()) == nullptr) return SystemError(errno, "cannot make " + Quoted(path));
  directory_ = path;
  top_ = path + "/data";
  if (mkdir(top_.c_str(), 0700) == 0 && chdir(top_.c_str()) == 0) return {};
  return SystemError(errno, "cannot make " + Quoted(top_));
}

Status UnpackedTar::UnpackHere(const std::string& tar, std::optional<FileOwner> owner) {
  const os::UniqueFd fd(tar == "-" ? dup(STDIN_FILENO) : open(tar.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return SystemError(errno, "cannot read " + Quoted(tar));
  struct stat info {};
  uint64_t bytes_total = 0;  // not known
  if (fstat(fd.get(), &info) == 0 && S_ISREG(info.st_mode)) {
    bytes_total = static_cast<uint64_t>(info.st_size);
  }
  Unpacker unpacker(Archive::kForeign, {}, owner);
  return unpacker.Finish(Feed(unpacker, fd.get(), bytes_total, quiet_));
}

// pg_basebackup puts tablespaces and WAL into archives of their own. What is still missing after
// this, the import names.
Status UnpackedTar::UnpackRest(const std::string& tar) {
  const std::string data = DataDirectory();
  const std::string map = ReadText(data + "/" + store::kTablespaceMap);
  const std::string first_segment = store::FirstWalSegment(ReadText(data + "/backup_label"));
  if (tar == "-" || (map.empty() && first_segment.empty())) return {};
  const fs::path beside = fs::path(tar).parent_path();
  const std::string base = fs::path(tar).filename();
  const size_t dot = base.find(".tar");
  const std::string suffix = dot == std::string::npos ? "" : base.substr(dot + 4);

  const auto add = [&](const std::string& from, const std::vector<std::string>& into) -> Status {
    VELAFS_TRY(EnterBelow(data, into));
    std::string directory = data;
    for (const std::string& name : into) directory += "/" + name;
    // pg_basebackup makes pg_wal.tar itself, with an owner of no meaning.
    VELAFS_TRY(UnpackHere(from, DataOwner()).WithContext("cannot unpack " + Quoted(from)));
    return GiveOwner(directory);
  };
  std::error_code error;
  for (const auto& [oid, path] : store::ParseTablespaceMap(map)) {
    if (oid.empty() || oid.find_first_not_of("0123456789") != std::string::npos) continue;
    if (fs::exists(fs::symlink_status(data + "/pg_tblspc/" + oid, error))) continue;
    const std::string archive = FindTar(beside, oid, suffix);
    if (!archive.empty()) VELAFS_TRY(add(archive, {store::kTablespaceLinks, oid}));
  }
  if (store::IsWalSegmentName(first_segment) &&
      !fs::exists(fs::symlink_status(data + "/pg_wal/" + first_segment, error))) {
    const std::string archive = FindTar(beside, "pg_wal", suffix);
    if (!archive.empty()) VELAFS_TRY(add(archive, {"pg_wal"}));
  }
  return {};
}

std::optional<FileOwner> UnpackedTar::DataOwner() const {
  struct stat version {};
  if (lstat((DataDirectory() + "/PG_VERSION").c_str(), &version) != 0) return {};
  return FileOwner{version.st_uid, version.st_gid};
}

// pg_basebackup leaves the top directory out of its archives.
Status UnpackedTar::GiveOwner(const std::string& directory) const {
  struct stat top {};
  if (lstat(directory.c_str(), &top) != 0 || top.st_uid != geteuid()) return {};
  const std::optional<FileOwner> owner = DataOwner();
  if (!owner || owner->uid == top.st_uid) return {};
  if (lchown(directory.c_str(), owner->uid, owner->gid) == 0) return {};
  return SystemError(errno, "cannot give " + Quoted(directory) + " another owner");
}

}  // namespace velafs::cli
