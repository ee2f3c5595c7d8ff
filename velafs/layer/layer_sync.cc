// What of a layer is durable, and how much room it takes on disk.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <future>
#include <system_error>
#include <utility>

#include "velafs/layer/layer.h"

namespace velafs::layer {
namespace {

// Syncs all of them, and returns the first failure. The sync of a new file waits for the host's
// journal, and syncs on several threads share that wait.
Status SyncFiles(const std::vector<std::shared_ptr<PageFile>>& files) {
  constexpr size_t kMostThreads = 8;
  constexpr size_t kFilesOfThread = 16;  // fewer are not worth a thread
  std::atomic<size_t> next = 0;
  const auto sync_files = [&files, &next] {
    Status first_failure;
    for (size_t at = next++; at < files.size(); at = next++) {
      Status synced = files[at]->Sync(os::SyncKind::kData);
      if (!synced.ok() && first_failure.ok()) first_failure = std::move(synced);
    }
    return first_failure;
  };
  std::vector<std::future<Status>> others;
  const size_t threads = std::min(kMostThreads, files.size() / kFilesOfThread);
  for (size_t i = 1; i < threads; ++i) {
    try {
      others.push_back(std::async(std::launch::async, sync_files));
    } catch (const std::system_error&) {
      break;  // the system gives no more threads: those that run sync all files
    }
  }
  Status first_failure = sync_files();
  for (std::future<Status>& other : others) {
    Status synced = other.get();
    if (first_failure.ok()) first_failure = std::move(synced);
  }
  return first_failure;
}

}  // namespace

Result<uint64_t> Layer::AllocatedBytes(std::chrono::nanoseconds max_age) {
  const auto now = std::chrono::steady_clock::now();
  {
    MutexLock lock(lock_);
    const bool is_current = !has_changed_ && dirty_.empty();
    if (count_ && (is_current || now - count_->at < max_age)) return count_->bytes;
    has_changed_ = false;  // what changes while it is counted counts for the next time
  }
  uint64_t bytes = 0;
  for (const PageFileName& name : PageFiles()) {
    for (const std::string& path : {PagePath(name.ino), MapPath(name.ino)}) {
      const auto info = storage().Stat(path);
      if (info.ok())
        bytes += info->allocated_bytes;
      else if (info.status().error_number() != ENOENT)
        return info.status();
    }
  }
  MutexLock lock(lock_);
  count_ = {bytes, now};
  return bytes;
}

Status Layer::SyncDirty(TimeNs older_than) {
  std::vector<std::shared_ptr<PageFile>> files;
  {
    MutexLock lock(lock_);
    for (const auto& [ino, entry] : dirty_) {
      if (entry.since <= older_than) files.push_back(entry.file);
    }
  }
  return SyncFiles(files);
}

Status Layer::SyncNames() {
  VELAFS_TRY(storage().SyncDirectory(directory_));
  MutexLock lock(names_lock_);
  if (own_name_durable_) return {};
  VELAFS_TRY(storage().SyncDirectory(parts_.layers_directory));
  own_name_durable_ = true;
  return {};
}

void Layer::AddDirty(PageFile& file) {
  MutexLock lock(lock_);
  const auto entry = entries_.find(file.ino());
  if (entry == entries_.end()) return;  // discarded while open
  if (auto open = entry->second.open.lock(); open.get() == &file) {
    dirty_.try_emplace(file.ino(), DirtyEntry{std::move(open), NowNs()});
  }
}

void Layer::RemoveDirty(PageFile& file) {
  std::shared_ptr<PageFile> last_use;  // freed after the lock
  MutexLock lock(lock_);
  if (!file.MayLeaveDirtyList()) return;
  if (auto found = dirty_.find(file.ino()); found != dirty_.end()) {
    last_use = std::move(found->second.file);
    dirty_.erase(found);
    has_changed_ = true;
  }
}

}  // namespace velafs::layer
