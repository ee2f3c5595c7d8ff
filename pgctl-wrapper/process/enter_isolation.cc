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
#include <climits>
#include <cstring>
#include <vector>

#include "pgctl-wrapper/process/isolation.h"
#include "pgctl-wrapper/process/unique_fd.h"

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

// Each of those ids as itself, and no other: root's above all. Who owns a namespace may do there
// what its ids may, and the owner of the data owns this one.
string SameIds(const std::vector<gid_t>& ids) {
  string same;
  for (const gid_t id : ids) same += std::to_string(id) + " " + std::to_string(id) + " 1\n";
  return same;
}

// A process that stays root, to map another's ids: the other one, which has just changed its user,
// may not write its own maps.
class IdMapper {
 public:
  static Result<IdMapper> Start(const Owner& owner) {
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
      _exit(Map(target, owner, go.get()));
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
  static int Map(pid_t target, const Owner& owner, int go) {
    char byte = 0;
    if (read(go, &byte, 1) != 1) return ESRCH;
    if (seteuid(0) != 0) return errno;
    const string directory = "/proc/" + std::to_string(target);
    const Status uids = WriteProcFile(directory + "/uid_map", SameIds({owner.uid}));
    if (!uids.ok()) return uids.error_number();
    const Status gids = WriteProcFile(directory + "/gid_map", SameIds({owner.gid}));
    return gids.error_number();
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
  VELAFS_ASSIGN(IdMapper mapper, IdMapper::Start(owner));
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

Result<UniqueFd> CopyOfTree(const string& path) {
  UniqueFd tree(
      open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
  if (tree) return tree;
  return SystemError(errno, "cannot show \"" + path + "\"");
}

// On `path`, a directory as this process sees it.
Status MountAt(const UniqueFd& tree, const string& path) {
  if (move_mount(tree.get(), "", AT_FDCWD, path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) == 0) return {};
  return SystemError(errno, "cannot mount at \"" + path + "\"");
}

Result<UniqueFd> NewTree(const char* mode) {
  const UniqueFd context(fsopen("tmpfs", FSOPEN_CLOEXEC));
  if (context && fsconfig(context.get(), FSCONFIG_SET_STRING, "mode", mode, 0) == 0 &&
      fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0) {
    UniqueFd tree(fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
    if (tree) return tree;
  }
  return SystemError(errno, "cannot make an empty directory");
}

Status MountNewAt(const string& path, const char* mode) {
  VELAFS_ASSIGN(const UniqueFd tree, NewTree(mode));
  return MountAt(tree, path);
}

// Those on the way, too. Relative.
Status MakeDirectories(const string& path) {
  for (size_t slash = path.find('/');; slash = path.find('/', slash + 1)) {
    const string dir = path.substr(0, slash);
    if (mkdir(dir.c_str(), 0755) != 0 && errno != EEXIST) {
      return SystemError(errno, "cannot create \"/" + dir + "\"");
    }
    if (slash == string::npos) return {};
  }
}

// A directory of the host's, or a link on top such as /bin, as it is there.
struct Shown {
  string path;  // relative to the root
  string link;  // where that leads, of a link
  UniqueFd tree;
};

Result<std::vector<Shown>> CopyShown(const Isolation& isolation) {
  std::vector<Shown> all;
  for (const string& path : isolation.shown_dirs) {
    struct stat info {};
    if (lstat(path.c_str(), &info) != 0) continue;
    Shown shown{path.substr(1), "", {}};
    std::array<char, PATH_MAX> target;
    const ssize_t length =
        S_ISLNK(info.st_mode) ? readlink(path.c_str(), target.data(), target.size()) : 0;
    if (length > 0) {
      shown.link.assign(target.data(), static_cast<size_t>(length));
    } else {
      VELAFS_ASSIGN(shown.tree, CopyOfTree(path));
    }
    all.push_back(std::move(shown));
  }
  return all;
}

Status Show(const Shown& shown) {
  if (shown.tree) {
    VELAFS_TRY(MakeDirectories(shown.path));
    return MountAt(shown.tree, shown.path);
  }
  const size_t slash = shown.path.rfind('/');
  if (slash != string::npos) VELAFS_TRY(MakeDirectories(shown.path.substr(0, slash)));
  if (symlink(shown.link.c_str(), shown.path.c_str()) == 0) return {};
  return SystemError(errno, "cannot create \"/" + shown.path + "\"");
}

// From then on this process sees what is shown, and nothing else of the host's.
Status ChangeRoot(const Isolation& isolation) {
  VELAFS_ASSIGN(const std::vector<Shown> all, CopyShown(isolation));
  VELAFS_TRY(MountNewAt(isolation.stage_dir, "0755"));
  if (chdir(isolation.stage_dir.c_str()) != 0) return SystemError(errno, "cannot enter it");
  for (const Shown& shown : all) VELAFS_TRY(Show(shown));
  for (const char* dir : {"tmp", "run", "var/tmp"}) VELAFS_TRY(MakeDirectories(dir));
  if (chmod("tmp", 01777) != 0 || chmod("var/tmp", 01777) != 0) {
    return SystemError(errno, "cannot open \"/tmp\" to all");
  }
  VELAFS_TRY(MountNewAt("dev/shm", "1777"));
  // The old root comes to lie on the new one, and is then taken off.
  if (syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 && chdir("/") == 0) {
    return {};
  }
  return SystemError(errno, "cannot change the root directory");
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
  struct stat info {};
  if (!pin || fstat(pin.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return Failed("cannot open \"" + isolation.pinned_file + "\"");
  }
  VELAFS_TRY(getuid() == 0 ? EnterUserNamespaceAsRoot(owner) : EnterUserNamespace());
  VELAFS_TRY(Unshare(CLONE_NEWNET, "a network namespace"));
  VELAFS_TRY(Unshare(CLONE_NEWNS, "a mount namespace"));
  VELAFS_TRY(BringUpLoopback());
  VELAFS_TRY(ChangeRoot(isolation));
  VELAFS_TRY(DropCapabilities());
  return pin;
}

}  // namespace velafs::pgctl
