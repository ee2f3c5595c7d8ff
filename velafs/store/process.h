// Processes of this host, as the kernel tells of them: by handle and by the identity of their
// files, never by the text of a path, which is another in another mount namespace.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>

#include "velafs/base/status.h"
#include "velafs/os/unique_fd.h"

namespace velafs::store {

// The process of a thread; another id is returned unchanged.
pid_t ProcessOf(pid_t thread);

// Stays with the process it was opened for, also when its pid is given to another.
class ProcessHandle {
 public:
  // `pid` as the kernel names it to this process; of any of its threads. Fails with ESRCH if there
  // is no such process, or this process's PID namespace does not know it.
  static Result<ProcessHandle> Open(pid_t pid);

  pid_t pid() const { return pid_; }
  bool IsAlive() const;  // a zombie is not
  // Of the same process.
  Result<ProcessHandle> Duplicate() const;
  // Succeeds if the process has ended.
  Status Signal(int number) const;
  // False if it is alive at that time.
  bool WaitForEnd(std::chrono::steady_clock::time_point deadline) const;

 private:
  ProcessHandle(pid_t pid, os::UniqueFd fd) : pid_(pid), fd_(std::move(fd)) {}

  pid_t pid_;
  os::UniqueFd fd_;
};

struct FileIdentity {
  uint32_t device_major = 0;
  uint32_t device_minor = 0;
  uint64_t ino = 0;

  auto operator<=>(const FileIdentity&) const = default;
};

// The identity of the target of /proc/PID/`link` ("exe", "cwd"); nothing if it cannot be read.
// Sends no request to the target's filesystem: safe for a process that serves it.
std::optional<FileIdentity> IdentityOf(pid_t pid, const char* link);

// The identity of the process, by the kernel's account of its files in /proc.
std::optional<uid_t> UserOf(pid_t pid);

// Each process that /proc shows.
void ForEachProcess(const std::function<void(pid_t)>& visit);

}  // namespace velafs::store
