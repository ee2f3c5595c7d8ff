#include "pgctl-wrapper/run_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

namespace velafs::pgctl {
namespace {

constexpr std::string_view kLongestSocketName = "/.s.PGSQL.65535";

// FNV-1a: the same in every build, unlike std::hash.
std::string HashOf(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  char hex[17];
  std::snprintf(hex, sizeof hex, "%016llx", static_cast<unsigned long long>(hash));
  return hex;
}

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

bool IsNoAccess(const Status& status) {
  return status.error_number() == EACCES || status.error_number() == EPERM ||
         status.error_number() == EROFS;
}

}  // namespace

bool IsUsableSocketDir(const std::string& dir) {
  return dir.size() + kLongestSocketName.size() < sizeof(sockaddr_un::sun_path) &&
         dir.find(',') == std::string::npos;  // libpq takes a comma for two hosts
}

RunDir RunDirInTmp(const std::string& store, uint64_t branch_id) {
  const std::string path = "/tmp/velafs-" + HashOf(store) + "-" + std::to_string(branch_id);
  return {path, path};
}

RunDir RunDirInStore(const std::string& store, uint64_t branch_id) {
  RunDir run_dir;
  run_dir.path = store + "/run/" + std::to_string(branch_id);
  run_dir.socket_dir =
      IsUsableSocketDir(run_dir.path) ? run_dir.path : RunDirInTmp(store, branch_id).path;
  return run_dir;
}

RunDir FindRunDir(const std::string& store, uint64_t branch_id) {
  RunDir in_store = RunDirInStore(store, branch_id);
  RunDir in_tmp = RunDirInTmp(store, branch_id);
  const bool only_in_tmp =
      access(in_store.Log().c_str(), F_OK) != 0 && access(in_tmp.Log().c_str(), F_OK) == 0;
  return only_in_tmp ? in_tmp : in_store;
}

Result<RunDir> PrepareRunDir(const std::string& store, uint64_t branch_id, const Owner& owner) {
  RunDir run_dir = RunDirInStore(store, branch_id);
  const Status made = MakePrivateDir(run_dir.path, owner);
  if (!made.ok() && !IsNoAccess(made)) return made;
  if (!made.ok() || !IsUsableBy(owner, run_dir.path)) run_dir = RunDirInTmp(store, branch_id);
  VELAFS_TRY(MakePrivateDir(run_dir.socket_dir, owner));
  return run_dir;
}

Status RemoveRunDir(const std::string& store, uint64_t branch_id, const Owner& owner) {
  for (const std::string& dir :
       {RunDirInStore(store, branch_id).path, RunDirInTmp(store, branch_id).path}) {
    std::error_code error;
    {
      const ActingAs acting(owner);  // the content is the owner's: no more rights than that
      std::filesystem::remove_all(dir, error);
    }
    if (rmdir(dir.c_str()) != 0 && errno != ENOENT) {
      return SystemError(errno, "cannot remove \"" + dir + "\"");
    }
  }
  return {};
}

Result<UniqueFd> LockRunDir(const RunDir& run_dir) {
  UniqueFd lock(open(run_dir.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock) return SystemError(errno, "cannot open \"" + run_dir.path + "\"");
  while (flock(lock.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return SystemError(errno, "cannot lock \"" + run_dir.path + "\"");
  }
  return lock;
}

}  // namespace velafs::pgctl
