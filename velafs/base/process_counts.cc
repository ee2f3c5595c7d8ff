#include "velafs/base/process_counts.h"

#include <algorithm>
#include <cerrno>

namespace velafs {

void ProcessCounts::CountSync(std::chrono::steady_clock::duration took) {
  const auto us =
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(took).count());
  const auto bound = std::ranges::lower_bound(kSyncBoundsUs, us);
  ++syncs[static_cast<size_t>(bound - kSyncBoundsUs.begin())];
  sync_us += us;
}

void ProcessCounts::CountError(int error_number) {
  if (error_number == EIO) ++io_errors;
  if (error_number == ENOSPC) ++full_disk;
  if (error_number == EDQUOT) ++over_quota;
}

ProcessCounts& CountsOfProcess() {
  static ProcessCounts counts;
  return counts;
}

}  // namespace velafs
