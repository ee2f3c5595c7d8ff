#include "velafs/store/upkeep.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <chrono>

namespace velafs::store {
namespace {

constexpr auto kInterval = std::chrono::seconds(5);

}  // namespace

Upkeep::~Upkeep() {
  {
    std::lock_guard lock(stop_lock_);
    stop_ = true;
  }
  stop_changed_.notify_all();
  thread_.join();
}

void Upkeep::Run() {
  std::unique_lock lock(stop_lock_);
  while (!stop_) {
    lock.unlock();
    const Status done = RunOnce();
    if (!done.ok() && done.message() != last_failure_) spdlog::error("{}", done.message());
    last_failure_ = done.ok() ? "" : done.message();
    lock.lock();
    stop_changed_.wait_for(lock, kInterval, [this] { return stop_; });
  }
}

Status Upkeep::RunOnce() {
  const Caller self{geteuid(), "velafs"};
  VELAFS_ASSIGN(const Expired expired, store_.Expire(self, /*dry_run=*/false));
  for (const BranchInfo& branch : expired.branches) {
    spdlog::info("branch \"{}\" has expired: it is in the trash", branch.name);
  }
  for (const std::string& bookmark : expired.bookmarks) {
    spdlog::info("bookmark \"{}\" has expired", bookmark);
  }
  VELAFS_ASSIGN(const Purged purged, store_.PurgeTrash(self, kTrashRetention, /*dry_run=*/false));
  for (const BranchInfo& branch : purged.branches) {
    spdlog::info("branch \"{}\" has been in the trash for long enough", branch.name);
  }
  return {};
}

}  // namespace velafs::store
