#include "pgctl-wrapper/server/log_rotation.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <vector>

namespace velafs::pgctl {
namespace {

constexpr off_t kMostKeptBytes = 64 << 20;

// What `log` has from `offset` to `end`. Another server may have emptied it meanwhile.
Status CopyTail(const UniqueFd& log, off_t offset, off_t end, const UniqueFd& copy) {
  std::vector<char> piece(1 << 20);
  while (offset < end) {
    const size_t most = std::min(piece.size(), static_cast<size_t>(end - offset));
    const ssize_t count = pread(log.get(), piece.data(), most, offset);
    if (count < 0) return SystemError(errno, "cannot read the log");
    if (count == 0) return {};
    if (write(copy.get(), piece.data(), static_cast<size_t>(count)) != count) {
      return SystemError(errno, "cannot copy the log");
    }
    offset += count;
  }
  return {};
}

}  // namespace

Result<uint64_t> RotateLog(const RunDir& run_dir) {
  const std::string path = run_dir.Log();
  const UniqueFd log(open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!log && errno == ENOENT) return uint64_t{0};
  if (!log && errno == ELOOP) return Refused("\"" + path + "\" is a symbolic link");
  struct stat info {};
  if (!log || fstat(log.get(), &info) != 0) {
    return SystemError(errno, "cannot open \"" + path + "\"");
  }
  if (!S_ISREG(info.st_mode)) return Refused("\"" + path + "\" is not a regular file");
  if (info.st_size == 0) return uint64_t{0};

  const std::string fresh = path + ".1.new";
  if (unlink(fresh.c_str()) != 0 && errno != ENOENT) {
    return SystemError(errno, "cannot remove \"" + fresh + "\"");
  }
  const UniqueFd copy(open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!copy) return SystemError(errno, "cannot create \"" + fresh + "\"");
  const off_t kept = std::min(info.st_size, kMostKeptBytes);
  VELAFS_TRY(CopyTail(log, info.st_size - kept, info.st_size, copy));
  if (std::rename(fresh.c_str(), (path + ".1").c_str()) != 0) {
    return SystemError(errno, "cannot replace \"" + path + ".1\"");
  }
  if (ftruncate(log.get(), 0) != 0) return SystemError(errno, "cannot empty \"" + path + "\"");
  return static_cast<uint64_t>(info.st_size);
}

}  // namespace velafs::pgctl
