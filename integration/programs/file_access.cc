// What a user may do to the files of a directory: tries each kind of access and says what came of
// it.
//
//   file_access VICTIM OWN
//
// VICTIM is a directory with a file PG_VERSION and a directory `global`; OWN is an empty one in
// which the caller may do all, on the same filesystem. Prints a line for each access: its name, and
// "ok" or the name of the errno. What succeeded is undone as far as the next access needs it.
#include <fcntl.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>

#include "velafs/os/unique_fd.h"

namespace {

using velafs::os::UniqueFd;

constexpr mode_t kMode = 0600;

// Runs `access`, which answers as a system call does.
void Try(const char* name, const std::function<long()>& access) {
  errno = 0;
  const bool done = access() >= 0;
  std::printf("%s %s\n", name, done ? "ok" : strerrorname_np(errno));
}

long Opens(const std::string& path, int flags) {
  const UniqueFd fd(open(path.c_str(), flags | O_CLOEXEC, kMode));
  return fd ? 0 : -1;
}

// Opens it for reading and runs `use` on the descriptor.
long With(const std::string& path, const std::function<long(int)>& use) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return fd ? use(fd.get()) : -1;
}

long Maps(int fd) {
  void* const memory = mmap(nullptr, 1, PROT_READ, MAP_PRIVATE, fd, 0);
  return memory == MAP_FAILED ? -1 : munmap(memory, 1);
}

long Executes(const std::string& path) {
  char* const argv[] = {const_cast<char*>(path.c_str()), nullptr};
  pid_t pid = 0;
  errno = posix_spawn(&pid, path.c_str(), nullptr, nullptr, argv, environ);
  return errno == 0 ? waitpid(pid, nullptr, 0) : -1;
}

void TryReading(const std::string& top, const std::string& file) {
  struct stat info {};
  struct statfs space {};
  char byte = 0;
  Try("stat-top", [&] { return stat(top.c_str(), &info); });
  Try("statfs-top", [&] { return statfs(top.c_str(), &space); });
  Try("opendir", [&] { return Opens(top, O_RDONLY | O_DIRECTORY); });
  Try("chdir", [&] {
    return With(".", [&](int back) -> long {
      const long moved = chdir(top.c_str());
      const int error = errno;
      const int returned = fchdir(back);
      errno = error;
      return moved < 0 ? moved : returned;
    });
  });
  Try("stat", [&] { return stat(file.c_str(), &info); });
  Try("access", [&] { return access(file.c_str(), F_OK); });
  Try("statfs", [&] { return statfs(file.c_str(), &space); });
  Try("open-path", [&] { return Opens(file, O_PATH); });
  Try("read", [&] { return With(file, [&](int fd) { return read(fd, &byte, 1); }); });
  Try("mmap", [&] { return With(file, Maps); });
  Try("lock", [&] { return With(file, [](int fd) { return flock(fd, LOCK_SH | LOCK_NB); }); });
  Try("readlink", [&] { return readlink((top + "/link").c_str(), &byte, 1); });
  Try("getxattr", [&] { return getxattr(file.c_str(), "user.test", &byte, 1); });
  Try("listxattr", [&] { return listxattr(file.c_str(), nullptr, 0); });
  Try("exec", [&] { return Executes(top + "/program"); });
  Try("watch", [&] {
    const UniqueFd fd(inotify_init1(IN_CLOEXEC));
    return long{inotify_add_watch(fd.get(), file.c_str(), IN_MODIFY)};
  });
}

void TryChanging(const std::string& top, const std::string& file) {
  Try("write", [&] { return Opens(file, O_WRONLY); });
  Try("append", [&] { return Opens(file, O_WRONLY | O_APPEND); });
  Try("write-through-mmap", [&] { return Opens(file, O_RDWR); });
  Try("truncate", [&] { return truncate(file.c_str(), 3); });
  Try("chmod", [&] { return chmod(file.c_str(), kMode); });
  Try("chmod-top", [&] { return chmod(top.c_str(), 0700); });
  Try("chown", [&] { return chown(file.c_str(), geteuid(), static_cast<gid_t>(-1)); });
  Try("chown-to-root", [&] { return chown(file.c_str(), 0, static_cast<gid_t>(-1)); });
  Try("utimes", [&] { return utimes(file.c_str(), nullptr); });
  Try("setxattr", [&] { return setxattr(file.c_str(), "user.test", "x", 1, 0); });
  Try("removexattr", [&] { return removexattr(file.c_str(), "user.test"); });
}

void TryNames(const std::string& top, const std::string& file, const std::string& own) {
  const std::string made = top + "/made";
  const std::string mine = own + "/mine";
  Try("create", [&] { return Opens(made, O_WRONLY | O_CREAT | O_EXCL); });
  Try("unlink", [&] { return unlink(made.c_str()); });
  Try("mkdir", [&] { return mkdir(made.c_str(), 0700); });
  Try("rmdir", [&] { return rmdir(made.c_str()); });
  Try("mkfifo", [&] { return mkfifo(made.c_str(), kMode); });
  (void)unlink(made.c_str());
  Try("mkdev", [&] { return mknod(made.c_str(), S_IFCHR | kMode, 0x103); });
  (void)unlink(made.c_str());
  Try("symlink", [&] { return symlink("PG_VERSION", made.c_str()); });
  (void)unlink(made.c_str());
  Try("link", [&] { return link(file.c_str(), made.c_str()); });
  (void)unlink(made.c_str());
  Try("rename", [&] { return rename(file.c_str(), made.c_str()); });
  (void)rename(made.c_str(), file.c_str());
  Try("rename-top", [&] { return rename(top.c_str(), (top + "-away").c_str()); });
  Try("rmdir-top", [&] { return rmdir(top.c_str()); });
  // Between the two: to take a file out, and to put one in.
  Try("link-out", [&] { return link(file.c_str(), mine.c_str()); });
  Try("rename-out", [&] { return rename(file.c_str(), mine.c_str()); });
  (void)Opens(mine, O_WRONLY | O_CREAT);
  Try("link-in", [&] { return link(mine.c_str(), made.c_str()); });
  Try("rename-in", [&] { return rename(mine.c_str(), made.c_str()); });
  Try("rename-over", [&] { return rename(mine.c_str(), file.c_str()); });
  (void)unlink(mine.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: file_access VICTIM OWN\n");
    return 2;
  }
  const std::string top = argv[1];
  const std::string file = top + "/PG_VERSION";
  TryReading(top, file);
  TryChanging(top, file);
  TryNames(top, file, argv[2]);
  return 0;
}
