// Which branches that find no room the log has been told of.
#pragma once

#include <chrono>
#include <map>

#include "velafs/base/ids.h"
#include "velafs/base/mutex.h"

namespace velafs::fuse {

// A server that finds no room tries again and again. Thread-safe.
class FullLog {
 public:
  using Clock = std::chrono::steady_clock;

  // Whether the log is to be told that this branch finds no room: at most once an hour for each.
  bool IsDue(InstanceId branch, Clock::time_point now);

 private:
  Mutex mutex_;
  std::map<InstanceId, Clock::time_point> told_ GUARDED_BY(mutex_);  // within the last hour
};

}  // namespace velafs::fuse
