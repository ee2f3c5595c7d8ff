// What a volume with open branches does every second, or when they have loaded much.
#include <malloc.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <numeric>

#include "velafs/layer/branch.h"
#include "velafs/layer/volume.h"

namespace velafs::layer {
namespace {

constexpr auto kUpkeepInterval = std::chrono::seconds(1);
// Changes nobody has synced are made durable after this long, as the kernel does for other
// filesystems.
constexpr TimeNs kMaxUnsyncedNs = TimeNs{30} * 1'000'000'000;

constexpr size_t kMostBytes = Volume::kMostLoadedBytes;
constexpr size_t kFarTooManyBytes = 4 * kMostBytes;
constexpr size_t kLoadedBetween = kMostBytes / 4;  // what is loaded before all is counted
constexpr uint32_t kIdleRounds = 2;                // of what goes first beyond that
constexpr uint32_t kLongIdleRounds = 300;          // of what goes in any case
constexpr uint32_t kRoundsBetween = 60;            // looks for that
constexpr size_t kFewBytes = size_t{1} << 20;      // not worth to be given back

size_t LoadedBytes(const std::vector<std::shared_ptr<Branch>>& branches) {
  size_t bytes = 0;
  for (const auto& branch : branches) bytes += branch->loaded_bytes();
  return bytes;
}

}  // namespace

void Volume::StartUpkeep() {
  MutexLock lock(upkeep_lock_);
  if (upkeep_) return;
  next_round_ = std::chrono::steady_clock::now() + kUpkeepInterval;
  upkeep_.emplace(kUpkeepInterval, [this]() -> PeriodicThread::Wait {
    BoundMemory(OpenBranches());
    const auto now = std::chrono::steady_clock::now();
    if (now < next_round_) return next_round_ - now;
    const Status done = UpkeepRound();
    if (!done.ok() && done.message() != last_failure_) spdlog::error("{}", done.message());
    last_failure_ = done.message();
    next_round_ = std::chrono::steady_clock::now() + kUpkeepInterval;
    return kUpkeepInterval;
  });
}

Status Volume::UpkeepRound() {
  Status first_failure =
      removals_.RemoveDeletedFiles().WithContext("cannot remove the pages of deleted files");
  const std::vector<std::shared_ptr<Branch>> branches = OpenBranches();
  DropLongIdle(branches);
  std::shift_right(rounds_in_second_.begin(), rounds_in_second_.end(), 1);
  rounds_in_second_.front() = 1;
  for (const auto& branch : branches) {
    branch->BeginRound();
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

// A `du` of all branches has the kernel look at each inode, and remember it for a day. What is
// loaded for that is dropped while it goes on: it may load faster than a round a second would drop.
void Volume::NoteLoaded(size_t bytes) {
  if ((loaded_bytes_ += bytes) < kLoadedBetween) return;
  loaded_bytes_ = 0;
  MutexLock lock(upkeep_lock_);
  if (upkeep_) upkeep_->Wake();
}

void Volume::BoundMemory(const std::vector<std::shared_ptr<Branch>>& branches) {
  const size_t before = LoadedBytes(branches);
  if (before <= kMostBytes) return;
  for (const auto& branch : branches) branch->BeginRound();
  ++rounds_in_second_.front();
  DropIdle(branches, kIdleRounds);
  if (LoadedBytes(branches) > kMostBytes) DropIdle(branches, 1);
  // All of it is in use: what is used next is loaded anew.
  if (LoadedBytes(branches) > kFarTooManyBytes) {
    for (const auto& branch : branches) branch->DropIdle(1);
  }
  dropped_bytes_ += before - std::min(before, LoadedBytes(branches));
  if (dropped_bytes_ >= kMostBytes) GiveBackMemory();
}

// And gives back what it took, or what the kernel has forgotten meanwhile.
void Volume::DropLongIdle(const std::vector<std::shared_ptr<Branch>>& branches) {
  const size_t before = LoadedBytes(branches);
  const bool is_time = ++rounds_ % kRoundsBetween == 0;
  if (is_time) DropIdle(branches, kLongIdleRounds);
  const size_t after = LoadedBytes(branches);
  dropped_bytes_ += before - std::min(before, after);
  size_t used = after;
  for (const auto& branch : branches) used += branch->ReferenceBytes();
  most_bytes_ = std::max(most_bytes_, used);
  if (!is_time || dropped_bytes_ + (most_bytes_ - used) < kFewBytes) return;
  most_bytes_ = used;
  GiveBackMemory();
}

// What is in use stays for some seconds, and so do the names of a directory, since a request for
// one of them loads all. What a walk has loaded does not stay.
void Volume::DropIdle(const std::vector<std::shared_ptr<Branch>>& branches, uint32_t rounds) {
  const uint32_t recent_rounds =
      std::accumulate(rounds_in_second_.begin(), rounds_in_second_.end(), uint32_t{1});
  for (const auto& branch : branches) {
    if (branch->loaded_bytes() > 0) branch->DropIdle(rounds, std::max(rounds, recent_rounds));
  }
}

void Volume::GiveBackMemory() {
  malloc_trim(0);  // takes some milliseconds, in which others wait
  dropped_bytes_ = 0;
}

}  // namespace velafs::layer
