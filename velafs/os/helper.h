// A process that keeps a right which this one gives up.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "velafs/base/mutex.h"
#include "velafs/base/status.h"
#include "velafs/os/unique_fd.h"

namespace velafs::os {

// A child process that does one thing when it is asked to, and ends with this process. Thread-safe.
class Helper {
 public:
  // Returns 0 or an errno.
  using Act = std::function<int(uint8_t request)>;

  // Must be called while this process has no other thread. The child has no file of this process's
  // open, takes no signal, and as root has no capabilities but `kept`; it calls `act` for each
  // request.
  static Result<std::unique_ptr<Helper>> Start(std::span<const int> kept, const Act& act);
  ~Helper();  // the child has ended on return

  // What `act` returned; EPIPE if the child is no more.
  int Ask(uint8_t request);

 private:
  Helper(pid_t pid, UniqueFd socket) : pid_(pid), socket_(std::move(socket)) {}

  const pid_t pid_;
  Mutex mutex_;
  UniqueFd socket_ GUARDED_BY(mutex_);
};

}  // namespace velafs::os
