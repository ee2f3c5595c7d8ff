#include "velafs/chunk/content_cache.h"

namespace velafs::chunk {

Content ContentCache::Find(const ChunkLocation& location) {
  MutexLock lock(mutex_);
  const auto found = by_key_.find(KeyOf(location));
  if (found == by_key_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->second;
}

void ContentCache::Keep(const ChunkLocation& location, Content content) {
  MutexLock lock(mutex_);
  if (by_key_.contains(KeyOf(location))) return;  // by another thread, meanwhile
  entries_.emplace_front(KeyOf(location), std::move(content));
  by_key_.emplace(KeyOf(location), entries_.begin());
  if (entries_.size() <= limit_) return;
  by_key_.erase(entries_.back().first);
  entries_.pop_back();
}

}  // namespace velafs::chunk
