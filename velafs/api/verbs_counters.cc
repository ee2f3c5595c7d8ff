// The verb on what the answering process has done, and on the machine below the store.
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <fstream>

#include "velafs/api/call.h"
#include "velafs/base/process_counts.h"
#include "velafs/base/units.h"
#include "velafs/store/catalog_copies.h"

namespace velafs::api {
namespace {

using nlohmann::json;

const TimeNs kBegan = NowNs();

uint64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t pages = 0;
  file >> pages >> pages;  // the second: those in memory
  return pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

double ProcessorSeconds() {
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

// Each bucket has all syncs that took no longer than its bound.
json SyncsToJson(const ProcessCounts& counts) {
  json buckets = json::array();
  uint64_t count = 0;
  for (size_t i = 0; i < ProcessCounts::kSyncBoundsUs.size(); ++i) {
    count += counts.syncs[i];
    buckets.push_back({{"seconds", static_cast<double>(ProcessCounts::kSyncBoundsUs[i]) / 1e6},
                       {"count", count}});
  }
  return {{"count", count + counts.syncs.back()},
          {"seconds", static_cast<double>(counts.sync_us) / 1e6},
          {"buckets", buckets}};
}

}  // namespace

Answer Counters(Call& call) {
  VELAFS_TRY(call.arguments.Finish());
  const store::StorePaths& paths = call.store.paths();
  struct statvfs disk {};
  if (statvfs(paths.root.c_str(), &disk) != 0) {
    return SystemError(errno, "cannot ask for the space of \"" + paths.root + "\"");
  }
  VELAFS_ASSIGN(const auto copies, store::ListCatalogCopies(os::HostStorage(), paths));
  const ProcessCounts& counts = CountsOfProcess();
  return json{{"started_at", FormatTime(kBegan)},
              {"memory_bytes", ResidentBytes()},
              {"cpu_seconds", ProcessorSeconds()},
              {"requests", counts.requests.load()},
              {"fsync", SyncsToJson(counts)},
              {"errors",
               {{"EIO", counts.io_errors.load()},
                {"ENOSPC", counts.full_disk.load()},
                {"EDQUOT", counts.over_quota.load()}}},
              {"failed_branches", counts.failed_branches.load()},
              {"catalog_copied_at", copies.empty() ? json() : json(FormatTime(copies[0].made_at))},
              {"disk_free_bytes", uint64_t{disk.f_bavail} * disk.f_frsize},
              {"disk_size_bytes", uint64_t{disk.f_blocks} * disk.f_frsize}};
}

}  // namespace velafs::api
