// Limits how often the log repeats a branch's trouble.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "velafs/base/ids.h"
#include "velafs/base/mutex.h"

namespace velafs::fuse {

// A server that is refused something tries again and again, and so do many requests on a bad disk.
// Thread-safe.
class TroubleLog {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::minutes kInterval{1};

  // If the trouble should be logged now, the number of times it has happened on that branch since
  // it was last logged. Each trouble is logged once a minute at most.
  std::optional<uint64_t> IsDue(InstanceId branch, const std::string& trouble,
                                Clock::time_point now);

 private:
  // Beyond so many troubles at a time all further ones count as one of no branch.
  static constexpr size_t kMostTroubles = 1000;

  struct Told {
    Clock::time_point when;
    uint64_t since = 0;
  };
  Mutex mutex_;
  std::map<std::pair<InstanceId, std::string>, Told> told_ GUARDED_BY(mutex_);
};

}  // namespace velafs::fuse
