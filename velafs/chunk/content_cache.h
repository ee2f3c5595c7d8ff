// The content of chunks that were decompressed lately: a page is 8 KiB of a chunk of 64 KiB, and
// the next page is often wanted next.
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

  // Null when it is not there.
  Content Find(const ChunkLocation& location);
  void Keep(const ChunkLocation& location, Content content);

 private:
  // The length too: a damaged catalog may say two of the same place.
  using Key = std::tuple<PackId, uint64_t, uint32_t>;
  using Entries = std::list<std::pair<Key, Content>>;  // used last first

  static Key KeyOf(const ChunkLocation& location) {
    return {location.pack, location.offset_bytes, location.raw_bytes};
  }

  const size_t limit_;
  Mutex mutex_;
  Entries entries_ GUARDED_BY(mutex_);
  std::map<Key, Entries::iterator> by_key_ GUARDED_BY(mutex_);
};

}  // namespace velafs::chunk
