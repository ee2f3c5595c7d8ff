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
  // Takes the lock on `path` (made when missing) and writes this process's pid into it. When
  // another process holds it: Locked, at once, with the holder's pid in `*holder` (0 when unknown).
  static Result<FileLock> Acquire(const std::string& path, pid_t* holder);

  // The live process that the file names, 0 when there is none: the holder, if somebody holds it.
  static pid_t Named(const std::string& path);

  // Writes the pid anew: for a holder that has forked and lives on in the child.
  Status WritePid();

 private:
  explicit FileLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace velafs::os
