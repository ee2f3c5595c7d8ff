#include "velafs/fuse/full_log.h"

namespace velafs::fuse {

bool FullLog::IsDue(InstanceId branch, Clock::time_point now) {
  MutexLock lock(mutex_);
  std::erase_if(told_,
                [now](const auto& told) { return now - told.second >= std::chrono::hours(1); });
  return told_.try_emplace(branch, now).second;
}

}  // namespace velafs::fuse
