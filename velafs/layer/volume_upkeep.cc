// What a volume with open branches does every second.
#include <malloc.h>
#include <spdlog/spdlog.h>

#include <chrono>

#include "velafs/layer/branch.h"
#include "velafs/layer/volume.h"

namespace velafs::layer {
namespace {

constexpr auto kUpkeepInterval = std::chrono::seconds(1);
// Changes nobody has synced are made durable after this long, as the kernel does for other
// filesystems.
constexpr TimeNs kMaxUnsyncedNs = TimeNs{30} * 1'000'000'000;

}  // namespace

void Volume::StartUpkeep() {
  MutexLock lock(upkeep_lock_);
  if (upkeep_) return;
  upkeep_.emplace(kUpkeepInterval, [this]() -> PeriodicThread::Wait {
    const Status done = UpkeepRound();
    if (!done.ok() && done.message() != last_failure_) spdlog::error("{}", done.message());
    last_failure_ = done.message();
    return kUpkeepInterval;
  });
}

Status Volume::UpkeepRound() {
  BoundMemory();
  Status first_failure =
      removals_.RemoveDeletedFiles().WithContext("cannot remove the pages of deleted files");
  for (const auto& branch : OpenBranches()) {
    if (branch->is_ephemeral()) continue;
    Status synced = branch->SyncOld(NowNs() - kMaxUnsyncedNs);
    if (!synced.ok() && first_failure.ok()) {
      first_failure = std::move(synced).WithContext("cannot write changes to disk");
    }
  }
  if (Status removed = RemoveUnusedLayers(); first_failure.ok()) first_failure = std::move(removed);
  if (Status removed = removals_.RemoveSealedFiles().status(); first_failure.ok()) {
    first_failure = std::move(removed);
  }
  parts_.reserve.Refill();
  return first_failure;
}

// Each inode that the kernel has looked at, as a `du` of all branches has, takes half a kilobyte,
// and the kernel may remember it for a day. Beyond a bound what nobody uses goes at once, and the
// rest in some minutes.
void Volume::BoundMemory() {
  constexpr size_t kMostInodes = 100'000;
  constexpr uint32_t kIdleRounds = 5;
  constexpr uint32_t kLongIdleRounds = 300;
  constexpr uint32_t kRoundsBetween = 60;  // looks for what has been idle for long
  constexpr size_t kManyInodes = 100'000;
  const std::vector<std::shared_ptr<Branch>> branches = OpenBranches();
  size_t known = 0;
  for (const auto& branch : branches) {
    branch->BeginRound();
    known += branch->KnownInodes();
  }
  const bool is_full = known > kMostInodes;
  const bool is_time = ++rounds_ % kRoundsBetween == 0;
  if (!is_full && !is_time) return;
  for (const auto& branch : branches) {
    dropped_ += branch->DropIdle(is_full ? kIdleRounds : kLongIdleRounds);
  }
  if (dropped_ == 0 || (dropped_ < kManyInodes && !is_time)) return;
  dropped_ = 0;
  malloc_trim(0);  // takes some milliseconds, in which others wait
}

}  // namespace velafs::layer
