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

// The process a thread belongs to; what is none is returned as it is.
pid_t ProcessOf(pid_t thread);

// Stays with the process it was opened for, also when its pid is given to another.
class ProcessHandle {
 public:
  // `pid` as the kernel names it to this process; of any of its threads. Fails with ESRCH when
  // there is none, or none that this process's PID namespace knows.
  static Result<ProcessHandle> Open(pid_t pid);

  pid_t pid() const { return pid_; }
  bool IsAlive() const;  // a zombie is not
  // Of the same process.
  Result<ProcessHandle> Duplicate() const;
  // A process that has ended is no failure.
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

// Of what /proc/PID/`link` ("exe", "cwd") leads to; nothing when that cannot be told. Asks no
// filesystem for anything: safe for a process that serves the one it lies on.
std::optional<FileIdentity> IdentityOf(pid_t pid, const char* link);

// Of the process, by the kernel's own account of its files in /proc.
std::optional<uid_t> UserOf(pid_t pid);

// Each process that /proc shows.
void ForEachProcess(const std::function<void(pid_t)>& visit);

}  // namespace velafs::store
