// The exclusive lock that makes one process the only user of a store.
#pragma once

#include <sys/types.h>

#include <string>

#include "velafs/base/status.h"
#include "velafs/os/unique_fd.h"

namespace velafs::os {

// Held from Acquire until destroyed or until the process ends, however it ends. One thread.
class FileLock {
 public:
  // Locks `path`, which is made if missing, and writes this process's pid into it. If another
  // process has the lock: Locked, at once, with that process's pid in `*holder` (0 if unknown).
  static Result<FileLock> Acquire(const std::string& path, pid_t* holder);

  // The live process that the file names, or 0. If the file is locked, it is the holder.
  static pid_t Named(const std::string& path);

  // Writes the pid anew, for a holder that has forked and goes on in the child.
  Status WritePid();

 private:
  explicit FileLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace velafs::os
