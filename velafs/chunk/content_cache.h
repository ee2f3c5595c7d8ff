// A cache of decompressed chunks: a page is 8 KiB of a chunk of 64 KiB, and the next page is often
// read next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

#include "velafs/base/chunk_location.h"
#include "velafs/base/mutex.h"

namespace velafs::chunk {

using Content = std::shared_ptr<const std::byte[]>;  // of the raw length of its chunk

// Thread-safe.
class ContentCache {
 public:
  explicit ContentCache(size_t limit) : limit_(limit) {}  // in chunks

  // Null if it is not there.
  Content Find(const ChunkLocation& location);
  void Keep(const ChunkLocation& location, Content content);

 private:
  // With the length: a damaged catalog may have two lengths for one place.
  using Key = std::tuple<PackId, uint64_t, uint32_t>;
  using Entries = std::list<std::pair<Key, Content>>;  // last used first

  static Key KeyOf(const ChunkLocation& location) {
    return {location.pack, location.offset_bytes, location.raw_bytes};
  }

  const size_t limit_;
  Mutex mutex_;
  Entries entries_ GUARDED_BY(mutex_);
  std::map<Key, Entries::iterator> by_key_ GUARDED_BY(mutex_);
};

}  // namespace velafs::chunk
