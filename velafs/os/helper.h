// A child process that keeps a right which this process gives up.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>

#include "velafs/base/mutex.h"
#include "velafs/base/status.h"
#include "velafs/os/unique_fd.h"

namespace velafs::os {

// A child process that does one thing on request, and ends with this process. Thread-safe.
class Helper {
 public:
  static constexpr size_t kMostBytes = 32 * 1024;  // of a request
  // Returns 0 or an errno.
  using Act = std::function<int(std::span<const std::byte> request)>;

  // Must be called while this process has no other thread. The child has none of this process's
  // files open, ignores signals, and as root has no capabilities but `kept`. It calls `act` for
  // each request.
  static Result<std::unique_ptr<Helper>> Start(std::span<const int> kept, const Act& act);
  ~Helper();  // the child has ended on return, unless it did not answer in time

  // Returns the result of `act` for a request of 1 .. kMostBytes bytes; EPIPE if the child has
  // ended. One request at a time: others wait. ETIMEDOUT if the answer takes longer than
  // `patience`: the child is asked nothing more, and ends when it can.
  static constexpr std::chrono::milliseconds kForever{0};
  int Ask(std::span<const std::byte> request, std::chrono::milliseconds patience = kForever);

 private:
  Helper(pid_t pid, UniqueFd socket) : pid_(pid), socket_(std::move(socket)) {}

  const pid_t pid_;
  Mutex mutex_;
  UniqueFd socket_ GUARDED_BY(mutex_);
  bool is_stuck_ GUARDED_BY(mutex_) = false;
};

}  // namespace velafs::os
