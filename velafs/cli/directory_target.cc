#include "velafs/cli/directory_target.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "velafs/base/text.h"
#include "velafs/cli/output.h"
#include "velafs/cli/unpack.h"
#include "velafs/os/remove_tree.h"

namespace velafs::cli {
namespace {

constexpr char kWork[] = "data";
constexpr char kPartial[] = ".partial-";  // and the number of the process

os::UniqueFd OpenDirectory(int at, const std::string& name, int more_flags) {
  return os::UniqueFd(openat(at, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | more_flags));
}

// Over nothing that is there. A directory that its owner may not write to cannot change places.
bool Move(int from, const std::string& name, int to, const std::string& new_name) {
  const auto rename_it = [&] {
    if (renameat2(from, name.c_str(), to, new_name.c_str(), RENAME_NOREPLACE) == 0) return true;
    return errno == EINVAL && renameat(from, name.c_str(), to, new_name.c_str()) == 0;
  };
  if (rename_it()) return true;
  if (errno != EACCES) return false;
  // By number, whatever comes to be at its name.
  const os::UniqueFd directory(
      openat(from, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  const std::string by_number = "/proc/self/fd/" + std::to_string(directory.get());
  struct stat info {};
  if (!directory || fstat(directory.get(), &info) != 0 || chmod(by_number.c_str(), 0700) != 0) {
    return false;
  }
  const bool is_moved = rename_it();
  return chmod(by_number.c_str(), info.st_mode & 07777) == 0 && is_moved;
}

struct CloseDir {
  void operator()(DIR* it) const { closedir(it); }
};

Result<std::vector<std::string>> NamesIn(int directory) {
  os::UniqueFd copy = OpenDirectory(directory, ".", 0);
  const std::unique_ptr<DIR, CloseDir> stream(copy ? fdopendir(copy.get()) : nullptr);
  if (!stream) return SystemError(errno, "cannot look into the directory");
  static_cast<void>(copy.Release());
  std::vector<std::string> names;
  while (const dirent* entry = readdir(stream.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  return names;
}

// Warns of directories that killed exports to `name` have left.
void WarnOfLeftovers(int place, const std::string& path, const std::string& name) {
  const Result<std::vector<std::string>> there = NamesIn(place);
  if (!there.ok()) return;
  const std::string prefix = name + kPartial;
  for (const std::string& one : *there) {
    if (!one.starts_with(prefix)) continue;
    const pid_t pid = std::atoi(one.c_str() + prefix.size());
    if (pid <= 0 || kill(pid, 0) == 0 || errno != ESRCH) continue;
    const std::filesystem::path left = std::filesystem::path(path).parent_path() / one;
    WriteNotice("warning: " + Quoted(left.string()) +
                " is left of an export that was killed; remove it");
  }
}

}  // namespace

DirectoryTarget::~DirectoryTarget() {
  if (private_name_.empty()) return;
  for (const std::string& name : moved_) {
    static_cast<void>(os::RemoveTree(place_.get(), name));
  }
  RemovePrivate();
  RestorePlace();
}

void DirectoryTarget::RemovePrivate() {
  if (private_) static_cast<void>(os::RemoveTree(private_.get(), kWork));
  unlinkat(place_.get(), private_name_.c_str(), AT_REMOVEDIR);
}

Status DirectoryTarget::Prepare(const std::string& path) {
  std::filesystem::path wanted = std::filesystem::absolute(path).lexically_normal();
  if (!wanted.has_filename()) wanted = wanted.parent_path();  // "dir/"
  path_ = wanted;
  VELAFS_TRY(OpenPlace());
  if (!name_.empty()) WarnOfLeftovers(place_.get(), path_, name_);
  const std::string name = name_ + kPartial + std::to_string(getpid());
  if (mkdirat(place_.get(), name.c_str(), 0700) != 0) {
    return SystemError(errno, "cannot make " + Quoted(name) + " for " + Quoted(path_));
  }
  private_name_ = name;
  private_ = OpenDirectory(place_.get(), name, O_NOFOLLOW);
  struct stat info {};
  if (!private_ || fstat(private_.get(), &info) != 0) {
    return SystemError(errno, "cannot open " + Quoted(name) + " for " + Quoted(path_));
  }
  if (info.st_uid != geteuid() || (info.st_mode & 077) != 0) {
    return Refused("somebody has put another directory in the place of " + Quoted(name));
  }
  if (mkdirat(private_.get(), kWork, 0700) == 0) {
    work_ = OpenDirectory(private_.get(), kWork, O_NOFOLLOW);
  }
  return work_ ? Status() : SystemError(errno, "cannot make a directory for " + Quoted(path_));
}

Status DirectoryTarget::OpenPlace() {
  const std::filesystem::path path = path_;
  std::error_code error;
  const std::filesystem::file_type type = std::filesystem::symlink_status(path, error).type();
  if (type == std::filesystem::file_type::not_found) {
    name_ = path.filename();
    place_ = OpenDirectory(AT_FDCWD, path.parent_path(), 0);
    if (place_) return {};
    return SystemError(errno, "cannot make " + Quoted(path_));
  }
  if (error) return SystemError(error.value(), "cannot look at " + Quoted(path_));
  const bool is_directory = std::filesystem::is_directory(path, error);
  if (error) return SystemError(error.value(), "cannot look at " + Quoted(path_));
  if (!is_directory) return Exists(Quoted(path_) + " exists and is not a directory");
  place_ = OpenDirectory(AT_FDCWD, path, 0);
  if (!place_) return SystemError(errno, "cannot look into " + Quoted(path_));
  VELAFS_ASSIGN(const std::vector<std::string> names, NamesIn(place_.get()));
  if (names.empty()) return {};
  return Refused(Quoted(path_) + " is not empty",
                 "name a directory that is empty, or not there yet");
}

Status DirectoryTarget::Publish() {
  VELAFS_TRY(SyncTree(work_.get()));
  VELAFS_TRY(name_.empty() ? MoveIn() : ClaimName());
  RemovePrivate();
  private_name_.clear();
  if (fsync(place_.get()) == 0) return {};
  return SystemError(errno, "cannot make " + Quoted(path_) + " durable");
}

Status DirectoryTarget::ClaimName() {
  if (Move(private_.get(), kWork, place_.get(), name_)) return {};
  return SystemError(errno, "cannot move the files to " + Quoted(path_));
}

// Closes the existing directory to other users.
Status DirectoryTarget::Close() {
  struct stat info {};
  if (fstat(place_.get(), &info) != 0) return SystemError(errno, "cannot look at " + Quoted(path_));
  if ((info.st_uid != geteuid() && fchown(place_.get(), geteuid(), getegid()) != 0) ||
      fchmod(place_.get(), 0700) != 0) {
    return SystemError(errno, "cannot close " + Quoted(path_) + " to others");
  }
  before_ = info;
  VELAFS_ASSIGN(std::vector<std::string> names, NamesIn(place_.get()));
  std::erase(names, private_name_);
  if (names.empty()) return {};
  return Refused("somebody has put " + Quoted(names[0]) + " into " + Quoted(path_));
}

void DirectoryTarget::RestorePlace() {
  if (!before_) return;
  if (geteuid() == 0) {
    [[maybe_unused]] const int given = fchown(place_.get(), before_->st_uid, before_->st_gid);
  }
  fchmod(place_.get(), before_->st_mode & 07777);
}

Status DirectoryTarget::MoveIn() {
  struct stat info {};
  if (fstat(work_.get(), &info) != 0) return SystemError(errno, "cannot look at the files");
  VELAFS_TRY(Close());
  VELAFS_ASSIGN(const std::vector<std::string> names, NamesIn(work_.get()));
  for (const std::string& name : names) {
    if (!Move(work_.get(), name, place_.get(), name)) {
      return SystemError(errno, "cannot move " + Quoted(name) + " to " + Quoted(path_));
    }
    moved_.push_back(name);
  }
  RemovePrivate();
  const timespec times[2] = {info.st_atim, info.st_mtim};
  if ((geteuid() == 0 && fchown(place_.get(), info.st_uid, info.st_gid) != 0) ||
      fchmod(place_.get(), info.st_mode & 07777) != 0 || futimens(place_.get(), times) != 0) {
    return SystemError(errno, "cannot give " + Quoted(path_) + " its mode and owner");
  }
  return {};
}

}  // namespace velafs::cli
