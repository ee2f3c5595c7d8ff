#include "velafs/catalog/group_sync.h"

namespace velafs::catalog {

Status GroupSync::MakeDurable(CommitSequence sequence) {
  VELAFS_CHECK(sequence <= committed_.load());
  if (!has_failed_.load() && sequence <= durable_.load()) return {};

  MutexLock lock(mutex_);
  if (!failure_.ok()) return failure_;
  if (sequence <= durable_.load()) return {};  // the sync waited for was enough
  // Read before the sync begins: what commits during it may or may not be in it.
  const CommitSequence covered = committed_.load();
  Status synced = sync_();
  if (!synced.ok()) {
    failure_ = synced;
    has_failed_.store(true);
    return synced;
  }
  durable_.store(covered);
  return {};
}

}  // namespace velafs::catalog
