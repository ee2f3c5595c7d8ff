#include "pgctl-wrapper/process/owner.h"

#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <sstream>

#include "pgctl-wrapper/process/text_file.h"

namespace velafs::pgctl {
namespace {

std::vector<gid_t> CurrentGroups() {
  std::vector<gid_t> groups(static_cast<size_t>(getgroups(0, nullptr)));
  const int count = getgroups(static_cast<int>(groups.size()), groups.data());
  VELAFS_CHECK(count >= 0);
  groups.resize(static_cast<size_t>(count));
  return groups;
}

bool TakeGroupsOf(const Owner& owner) {
  const bool has_name = owner.name != std::to_string(owner.uid);
  return has_name ? initgroups(owner.name.c_str(), owner.gid) == 0 : setgroups(1, &owner.gid) == 0;
}

Owner OwnerOf(uid_t uid, gid_t gid) {
  Owner owner{uid, gid, std::to_string(uid), "/"};
  if (const passwd* entry = getpwuid(uid)) {
    owner.gid = entry->pw_gid;
    owner.name = entry->pw_name;
    owner.home = entry->pw_dir;
  }
  return owner;
}

Owner OwnerOf(const struct stat& info) { return OwnerOf(info.st_uid, info.st_gid); }

// Not that of a container or of unshare: all ids are mapped to themselves.
bool IsInitialNamespace() {
  const Result<std::string> map = ReadTextFile("/proc/self/uid_map");
  return !map.ok() || IsMapped(*map, UINT32_MAX - 1);
}

// Over a change of user, at which the kernel forgets the signal that a process wants at its
// parent's death. A death meanwhile is one, too.
class KeptDeathSignal {
 public:
  KeptDeathSignal() : parent_(getppid()) { prctl(PR_GET_PDEATHSIG, &signal_); }
  ~KeptDeathSignal() {
    if (signal_ == 0) return;
    prctl(PR_SET_PDEATHSIG, signal_);
    if (getppid() != parent_) raise(signal_);
  }
  KeptDeathSignal(const KeptDeathSignal&) = delete;
  KeptDeathSignal& operator=(const KeptDeathSignal&) = delete;

 private:
  const pid_t parent_;
  int signal_ = 0;
};

}  // namespace

Owner CurrentUser() { return OwnerOf(geteuid(), getegid()); }

Result<Owner> OwnerOfFile(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return SystemError(errno, "cannot read \"" + path + "\"");
  return OwnerOf(info);
}

std::optional<Owner> OwnerOfDirectory(const std::string& directory) {
  struct stat info {};
  if (lstat(directory.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) return std::nullopt;
  return OwnerOf(info);
}

Result<Owner> OwnerOfData(const std::string& data_dir) {
  const std::string path = data_dir + "/PG_VERSION";
  struct stat info {};
  if (lstat(path.c_str(), &info) == 0) {
    // A link may lead to anybody's file, and we would act as that user.
    if (S_ISREG(info.st_mode)) return OwnerOf(info);
    return Refused("\"" + path + "\" is not a regular file");
  }
  if (errno == EACCES) return OwnerOfFile(data_dir);
  if (errno != ENOENT) return SystemError(errno, "cannot read \"" + path + "\"");
  return Failed("\"" + data_dir + "\" is not a PostgreSQL data directory",
                "it has no file PG_VERSION");
}

bool IsMapped(std::string_view map, uint32_t id) {
  std::istringstream lines{std::string(map)};
  uint64_t first = 0;
  uint64_t outside = 0;
  uint64_t count = 0;
  while (lines >> first >> outside >> count) {
    if (id >= first && id - first < count) return true;
  }
  return false;
}

Status CheckNamespace(const Owner& owner) {
  if (geteuid() != 0) return {};
  const auto has = [](const char* path, uint32_t id) {
    const Result<std::string> map = ReadTextFile(path);
    return !map.ok() || IsMapped(*map, id);  // a kernel without user namespaces
  };
  const Result<std::string> groups = ReadTextFile("/proc/self/setgroups");
  const bool may_set_groups = !groups.ok() || !groups->starts_with("deny");
  if (may_set_groups && has("/proc/self/uid_map", owner.uid) &&
      has("/proc/self/gid_map", owner.gid)) {
    return {};
  }
  return Refused("this user namespace has no way to become user \"" + owner.name + "\"",
                 "run velapg outside of the user namespace");
}

Status CheckMayActAs(const Owner& owner, const std::string& branch) {
  if (owner.uid == 0) {
    return Refused(
        "the data of branch \"" + branch + "\" belongs to root",
        IsInitialNamespace()
            ? "PostgreSQL does not run as root: chown the data to another user"
            : "PostgreSQL does not run as root: run velapg outside of the user namespace");
  }
  if (geteuid() == 0) {
    return CheckNamespace(owner).WithContext("cannot act on the data of branch \"" + branch + "\"");
  }
  if (geteuid() == owner.uid) return {};
  return Refused("the data of branch \"" + branch + "\" belongs to user \"" + owner.name +
                     "\", not to \"" + CurrentUser().name + "\"",
                 "run velapg as \"" + owner.name + "\" or as root");
}

ActingAs::ActingAs(const Owner& owner) : switched_(geteuid() == 0) {
  if (!switched_) return;
  own_gid_ = getegid();
  own_groups_ = CurrentGroups();
  const KeptDeathSignal kept;
  VELAFS_CHECK(TakeGroupsOf(owner) && setegid(owner.gid) == 0 && seteuid(owner.uid) == 0);
}

ActingAs::~ActingAs() {
  if (!switched_) return;
  const KeptDeathSignal kept;
  VELAFS_CHECK(seteuid(0) == 0 && setegid(own_gid_) == 0 &&
               setgroups(own_groups_.size(), own_groups_.data()) == 0);
}

Status BecomeForGood(const Owner& owner) {
  if (getuid() != 0) return {};
  if (seteuid(0) != 0 || !TakeGroupsOf(owner) || setresgid(owner.gid, owner.gid, owner.gid) != 0 ||
      setresuid(owner.uid, owner.uid, owner.uid) != 0) {
    return SystemError(errno, "cannot become user \"" + owner.name + "\"");
  }
  return {};
}

}  // namespace velafs::pgctl
