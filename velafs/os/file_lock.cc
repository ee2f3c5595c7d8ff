#include "velafs/os/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <charconv>
#include <csignal>

namespace velafs::os {
namespace {

// The pid the file tells, 0 unless it is that of a live process: between a holder's death and the
// next one's WritePid the file still names the dead.
pid_t ReadHolder(int fd) {
  char text[32];
  const ssize_t length = pread(fd, text, sizeof text, 0);
  pid_t pid = 0;
  if (length <= 0 || std::from_chars(text, text + length, pid).ec != std::errc() || pid <= 0) {
    return 0;
  }
  return kill(pid, 0) < 0 && errno == ESRCH ? 0 : pid;
}

}  // namespace

Result<FileLock> FileLock::Acquire(const std::string& path, pid_t* holder) {
  *holder = 0;
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) {
    const int error_number = errno;
    return SystemError(error_number, "cannot open \"" + path + "\"");
  }
  if (flock(fd.get(), LOCK_EX | LOCK_NB) < 0) {
    const int error_number = errno;
    if (error_number != EWOULDBLOCK) {
      return SystemError(error_number, "cannot lock \"" + path + "\"");
    }
    *holder = ReadHolder(fd.get());
    return Locked("\"" + path + "\" is locked by " +
                  (*holder != 0 ? "process " + std::to_string(*holder) : "another process"));
  }
  FileLock lock(std::move(fd));
  VELAFS_TRY(lock.WritePid().WithContext("cannot write the holder of \"" + path + "\""));
  return lock;
}

pid_t FileLock::Named(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return fd ? ReadHolder(fd.get()) : 0;
}

Status FileLock::WritePid() {
  // The text before the cut: a reader in between never finds the file empty.
  const std::string text = std::to_string(getpid()) + "\n";
  const ssize_t put = pwrite(fd_.get(), text.data(), text.size(), 0);
  if (put < 0) return Errno(errno);
  if (static_cast<size_t>(put) != text.size()) return Errno(ENOSPC);
  return ftruncate(fd_.get(), put) < 0 ? Errno(errno) : Status();
}

}  // namespace velafs::os
