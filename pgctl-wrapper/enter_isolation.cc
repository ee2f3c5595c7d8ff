// The child's side of isolation.h.
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <sstream>

#include "pgctl-wrapper/isolation.h"
#include "pgctl-wrapper/text_file.h"
#include "pgctl-wrapper/unique_fd.h"

namespace velafs::pgctl {
namespace {

using std::string;

Status WriteProcFile(const string& path, const string& text) {
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (file && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size())) {
    return {};
  }
  return SystemError(errno, "cannot write \"" + path + "\"");
}

// Every id that this namespace has, as itself.
Result<string> SameIds(const string& map_file) {
  VELAFS_ASSIGN(const string own, ReadTextFile(map_file));
  std::istringstream extents(own);
  string same;
  uint64_t first = 0, outside = 0, count = 0;
  while (extents >> first >> outside >> count) {
    const string id = std::to_string(first);
    same += id + " " + id + " " + std::to_string(count) + "\n";
  }
  return same;
}

// A process that stays root, to map another's ids: only from outside its user namespace can all of
// them be, and those not mapped would all be "nobody" there.
class IdMapper {
 public:
  static Result<IdMapper> Start() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return SystemError(errno, "cannot make a pipe");
    UniqueFd go(ends[0]);
    IdMapper mapper;
    mapper.go_.Reset(ends[1]);
    const pid_t target = getpid();
    mapper.pid_ = fork();
    if (mapper.pid_ < 0) return SystemError(errno, "cannot start a process");
    if (mapper.pid_ == 0) {
      mapper.go_.Reset();
      _exit(Map(target, go.get()));
    }
    return mapper;
  }
  // To be called in the new user namespace, once.
  Status Finish() {
    const bool asked = write(go_.get(), "", 1) == 1;
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    if (asked && WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
    return SystemError(WIFEXITED(status) ? WEXITSTATUS(status) : EPERM, "cannot map ids");
  }

 private:
  IdMapper() = default;
  // In that process: 0, or an errno.
  static int Map(pid_t target, int go) {
    char byte = 0;
    if (read(go, &byte, 1) != 1) return ESRCH;
    if (seteuid(0) != 0) return errno;
    for (const char* map : {"uid_map", "gid_map"}) {
      const Result<string> same = SameIds(string("/proc/self/") + map);
      if (!same.ok()) return same.status().error_number();
      const Status written = WriteProcFile("/proc/" + std::to_string(target) + "/" + map, *same);
      if (!written.ok()) return written.error_number();
    }
    return 0;
  }

  pid_t pid_ = -1;
  UniqueFd go_;
};

Status SetCapabilities(const std::array<__user_cap_data_struct, 2>& data) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  if (syscall(SYS_capset, &header, data.data()) == 0) return {};
  return SystemError(errno, "cannot set capabilities");
}

// As BecomeForGood, but for the capabilities, which stay: it is as the owner, not as root, that the
// user namespace is made, so that the owner may look after what runs in it.
Status BecomeWithCapabilities(const Owner& owner) {
  if (prctl(PR_SET_KEEPCAPS, 1) != 0) return SystemError(errno, "cannot keep capabilities");
  VELAFS_TRY(BecomeForGood(owner));
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  if (syscall(SYS_capget, &header, data.data()) != 0) {
    return SystemError(errno, "cannot get capabilities");
  }
  for (__user_cap_data_struct& word : data) word.effective = word.permitted;
  return SetCapabilities(data);
}

Status Unshare(int flags, const char* what) {
  if (unshare(flags) == 0) return {};
  return SystemError(errno, "cannot make " + string(what));
}

Status EnterUserNamespaceAsRoot(const Owner& owner) {
  VELAFS_ASSIGN(IdMapper mapper, IdMapper::Start());
  VELAFS_TRY(BecomeWithCapabilities(owner));
  VELAFS_TRY(Unshare(CLONE_NEWUSER, "a user namespace"));
  return mapper.Finish();
}

Status EnterUserNamespace() {
  const string uid = std::to_string(geteuid());
  const string gid = std::to_string(getegid());
  VELAFS_TRY(Unshare(CLONE_NEWUSER, "a user namespace"));
  VELAFS_TRY(WriteProcFile("/proc/self/setgroups", "deny"));
  VELAFS_TRY(WriteProcFile("/proc/self/uid_map", uid + " " + uid + " 1\n"));
  return WriteProcFile("/proc/self/gid_map", gid + " " + gid + " 1\n");
}

// Up to version 14 PostgreSQL's statistics need one, and programs on the branch may.
Status BringUpLoopback() {
  const UniqueFd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  if (any && ioctl(any.get(), SIOCGIFFLAGS, &request) == 0) {
    request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
    if (ioctl(any.get(), SIOCSIFFLAGS, &request) == 0) return {};
  }
  return SystemError(errno, "cannot bring up the loopback interface");
}

// Opens it to be looked at or mounted on; nothing when nobody can get there.
Result<UniqueFd> OpenPlace(const string& path) {
  UniqueFd place(open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  const bool is_nowhere =
      errno == ENOENT || errno == EACCES || errno == ENOTDIR || errno == ENAMETOOLONG;
  if (place || is_nowhere) return place;
  return SystemError(errno, "cannot open \"" + path + "\"");
}

mode_t KindOf(const UniqueFd& place) {
  struct stat info {};
  return place && fstat(place.get(), &info) == 0 ? info.st_mode & S_IFMT : 0;
}

Result<UniqueFd> CopyOfTree(const string& path) {
  UniqueFd tree(
      open_tree(AT_FDCWD, path.c_str(),
                OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW));
  if (tree) return tree;
  return SystemError(errno, "cannot keep \"" + path + "\"");
}

Status Attach(const UniqueFd& tree, const UniqueFd& place, const string& path) {
  if (move_mount(tree.get(), "", place.get(), "",
                 MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0) {
    return {};
  }
  return SystemError(errno, "cannot mount at \"" + path + "\"");
}

Result<UniqueFd> NewEmptyTree(const string& path) {
  const UniqueFd context(fsopen("tmpfs", FSOPEN_CLOEXEC));
  const char* mode = path == "/tmp" ? "1777" : "0755";
  if (context && fsconfig(context.get(), FSCONFIG_SET_STRING, "mode", mode, 0) == 0 &&
      fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0) {
    UniqueFd tree(fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
    if (tree) return tree;
  }
  return SystemError(errno, "cannot make an empty directory for \"" + path + "\"");
}

// Those on the way, too.
Status MakeDirectories(const string& path) {
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const string dir = path.substr(0, slash);
    if (mkdir(dir.c_str(), 0755) != 0 && errno != EEXIST) {
      return SystemError(errno, "cannot create \"" + dir + "\"");
    }
    if (slash == string::npos) return {};
  }
}

Status HideDirectories(const Isolation& isolation) {
  std::vector<UniqueFd> kept;
  for (const string& dir : isolation.kept_dirs) {
    VELAFS_ASSIGN(UniqueFd tree, CopyOfTree(dir));
    kept.push_back(std::move(tree));
  }
  for (const string& dir : isolation.hidden_dirs) {
    VELAFS_ASSIGN(const UniqueFd place, OpenPlace(dir));
    if (KindOf(place) != S_IFDIR) continue;  // not there, or hidden already
    VELAFS_ASSIGN(const UniqueFd empty, NewEmptyTree(dir));
    VELAFS_TRY(Attach(empty, place, dir));
  }
  for (size_t i = 0; i < kept.size(); ++i) {
    const string& dir = isolation.kept_dirs[i];
    VELAFS_TRY(MakeDirectories(dir));
    VELAFS_ASSIGN(const UniqueFd place, OpenPlace(dir));
    VELAFS_TRY(Attach(kept[i], place, dir));
  }
  return {};
}

// Puts /dev/null in their place.
Status HideSockets(const Isolation& isolation) {
  for (const string& path : isolation.hidden_sockets) {
    VELAFS_ASSIGN(const UniqueFd place, OpenPlace(path));
    if (KindOf(place) != S_IFSOCK) continue;
    VELAFS_ASSIGN(const UniqueFd null, CopyOfTree("/dev/null"));
    VELAFS_TRY(Attach(null, place, path));
  }
  return {};
}

Status DropCapabilities() {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return SystemError(errno, "cannot give up new privileges");
  }
  return SetCapabilities({});
}

}  // namespace

Result<UniqueFd> EnterIsolation(const Isolation& isolation, const Owner& owner) {
  UniqueFd pin(open(isolation.pinned_file.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (KindOf(pin) != S_IFREG) return Failed("cannot open \"" + isolation.pinned_file + "\"");
  VELAFS_TRY(getuid() == 0 ? EnterUserNamespaceAsRoot(owner) : EnterUserNamespace());
  VELAFS_TRY(Unshare(CLONE_NEWNET, "a network namespace"));
  VELAFS_TRY(Unshare(CLONE_NEWNS, "a mount namespace"));
  VELAFS_TRY(BringUpLoopback());
  VELAFS_TRY(HideDirectories(isolation));
  VELAFS_TRY(HideSockets(isolation));
  VELAFS_TRY(DropCapabilities());
  return pin;
}

}  // namespace velafs::pgctl
