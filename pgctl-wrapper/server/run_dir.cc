#include "pgctl-wrapper/server/run_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>
#include <thread>

#include "pgctl-wrapper/process/text_file.h"
#include "velafs/base/server_place.h"
#include "velafs/os/remove_tree.h"

namespace velafs::pgctl {
namespace {

constexpr std::chrono::milliseconds kLockPoll{20};
constexpr uint64_t kMostLocksBytes = 16 << 20;
constexpr std::string_view kLongestSocketName = "/.s.PGSQL.65535";

// Makes `dir` for `owner`, or checks that it is the owner's. Never follows a link that someone put
// there. One that is still ours was made by a start that was killed before it gave it away.
Status MakePrivateDir(const std::string& dir, const Owner& owner) {
  if (mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST)
    return SystemError(errno, "cannot create \"" + dir + "\"");
  const UniqueFd fd(open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return SystemError(errno, "cannot open \"" + dir + "\"");
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return SystemError(errno, "cannot read \"" + dir + "\"");
  if (info.st_uid == geteuid() && info.st_uid != owner.uid) {
    if (fchown(fd.get(), owner.uid, owner.gid) != 0) {
      return SystemError(errno, "cannot give \"" + dir + "\" to user \"" + owner.name + "\"");
    }
    info.st_uid = owner.uid;
  }
  if (info.st_uid != owner.uid) {
    return Refused("\"" + dir + "\" does not belong to user \"" + owner.name + "\"",
                   "remove it, if no server uses it");
  }
  if ((info.st_mode & 07777) == 0700 || fchmod(fd.get(), 0700) == 0) return {};
  return SystemError(errno, "cannot protect \"" + dir + "\"");
}

bool IsUsableBy(const Owner& owner, const std::string& dir) {
  const ActingAs acting(owner);
  return faccessat(AT_FDCWD, dir.c_str(), R_OK | W_OK | X_OK, AT_EACCESS) == 0;
}

bool IsThere(const std::string& path) {
  struct stat info {};
  return lstat(path.c_str(), &info) == 0;
}

// False unless nobody but root can make anything there.
bool MakeRootsPlaces() {
  const bool is_new = mkdir(kRootsPlaces, 0755) == 0;
  if (!is_new && errno != EEXIST) return false;
  const UniqueFd fd(open(kRootsPlaces, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info {};
  if (!fd || (is_new && fchmod(fd.get(), 0755) != 0) || fstat(fd.get(), &info) != 0) return false;
  return info.st_uid == 0 && (info.st_mode & 0777) == 0755;
}

// The one of root's if there is one, whoever asks: nobody else can have made it.
std::string PlaceOutside(const std::string& store, uint64_t branch_id) {
  const std::string roots = PlaceOfRoots(store, branch_id);
  return IsThere(roots) ? roots : PlaceInTmp(store, branch_id);
}

bool IsNoAccess(const Status& status) {
  return status.error_number() == EACCES || status.error_number() == EPERM ||
         status.error_number() == EROFS;
}

// The content is that of the directory's owner: it is removed with no more rights than his. Of a
// place that is a stranger's, or no directory, nothing is removed. The directory itself stays where
// only the daemon may remove it, as in a store of root's: `delete` has it do that.
Status RemovePlace(const std::string& dir) {
  const UniqueFd fd(open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return {};
  VELAFS_ASSIGN(const Owner owner, OwnerOfFile("/proc/self/fd/" + std::to_string(fd.get())));
  if (geteuid() != 0 && geteuid() != owner.uid) return {};
  VELAFS_TRY(CheckNamespace(owner));
  {
    const ActingAs acting(owner);
    VELAFS_TRY(os::EmptyDirectory(fd.get(), dir));
  }
  if (rmdir(dir.c_str()) == 0 || errno == ENOENT) return {};
  const Status kept = SystemError(errno, "cannot remove \"" + dir + "\"");
  return IsNoAccess(kept) ? Status() : kept;
}

// The process that has the lock on an open file, in words. The kernel tells: "1: FLOCK  ADVISORY
// WRITE 4711 fe:01:1234 0 EOF".
std::string HolderOf(const UniqueFd& file) {
  const std::string unknown = "another process";
  struct stat info {};
  const Result<std::string> locks = ReadBoundedFile("/proc/locks", kMostLocksBytes);
  if (!locks.ok() || fstat(file.get(), &info) != 0) return unknown;
  std::istringstream lines(*locks);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string number, kind, advisory, mode, pid, place;
    words >> number >> kind >> advisory >> mode >> pid >> place;
    const bool is_this = place.substr(place.rfind(':') + 1) == std::to_string(info.st_ino);
    if (kind != "FLOCK" || !is_this) continue;
    const std::optional<Owner> owner = OwnerOfDirectory("/proc/" + pid);
    return "process " + pid + (owner ? " of user \"" + owner->name + "\"" : "");
  }
  return unknown;
}

}  // namespace

bool IsUsableSocketDir(const std::string& dir) {
  return dir.size() + kLongestSocketName.size() < sizeof(sockaddr_un::sun_path) &&
         dir.find(',') == std::string::npos;  // libpq takes a comma for two hosts
}

RunDir RunDirInStore(const std::string& store, uint64_t branch_id) {
  RunDir run_dir;
  run_dir.path = store + "/run/" + std::to_string(branch_id);
  run_dir.socket_dir =
      IsUsableSocketDir(run_dir.path) ? run_dir.path : PlaceOutside(store, branch_id);
  return run_dir;
}

RunDir FindRunDir(const std::string& store, uint64_t branch_id) {
  const RunDir in_store = RunDirInStore(store, branch_id);
  const std::string place = PlaceOutside(store, branch_id);
  const RunDir outside{place, place};
  return !IsThere(in_store.Log()) && IsThere(outside.Log()) ? outside : in_store;
}

Result<RunDir> PrepareRunDir(const std::string& store, uint64_t branch_id, const Owner& owner) {
  RunDir run_dir = RunDirInStore(store, branch_id);
  const Status made = MakePrivateDir(run_dir.path, owner);
  if (!made.ok() && !IsNoAccess(made)) return made;
  const bool is_usable = made.ok() && IsUsableBy(owner, run_dir.path);
  if (is_usable && run_dir.socket_dir == run_dir.path) return run_dir;
  run_dir.socket_dir = geteuid() == 0 && MakeRootsPlaces() ? PlaceOfRoots(store, branch_id)
                                                           : PlaceOutside(store, branch_id);
  if (!is_usable) run_dir.path = run_dir.socket_dir;
  VELAFS_TRY(MakePrivateDir(run_dir.socket_dir, owner));
  return run_dir;
}

Status RemoveRunDir(const std::string& store, uint64_t branch_id) {
  VELAFS_TRY(RemovePlace(store + "/run/" + std::to_string(branch_id)));
  VELAFS_TRY(RemovePlace(PlaceOfRoots(store, branch_id)));
  return RemovePlace(PlaceInTmp(store, branch_id));
}

Result<UniqueFd> LockRunDir(const RunDir& run_dir, const std::function<bool()>& is_over) {
  UniqueFd lock(open(run_dir.path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!lock) return SystemError(errno, "cannot open \"" + run_dir.path + "\"");
  while (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EINTR && errno != EWOULDBLOCK) {
      return SystemError(errno, "cannot lock \"" + run_dir.path + "\"");
    }
    if (is_over()) {
      return Locked(HolderOf(lock) + " holds \"" + run_dir.path + "\"",
                    "wait for it, or end it; --timeout says how long to wait");
    }
    std::this_thread::sleep_for(kLockPoll);  // no lock of this kind can be waited for in time
  }
  return lock;
}

}  // namespace velafs::pgctl
