// A page file: one layer's own pages of one regular file, with its page map where the file has
// content in lower layers too.
//
// The page file has the same offsets as the file, and its size and times are the file's as seen
// from this layer. DURABILITY.md holds the write order.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "velafs/base/byte_range.h"
#include "velafs/base/ids.h"
#include "velafs/base/mutex.h"
#include "velafs/base/status.h"
#include "velafs/layer/page_map.h"
#include "velafs/os/storage.h"

namespace velafs::layer {

class Layer;

// Thread-safe, except that changes (Write, ClaimPages, Truncate, PunchPages, Allocate) of one file
// are the caller's to serialise.
class PageFile {
 public:
  // `map_file`: null if it need not be open yet.
  PageFile(Layer& layer, InodeNumber ino, std::unique_ptr<os::File> file,
           std::optional<PageMap> map, std::unique_ptr<os::File> map_file, bool is_new);

  Layer& layer() const { return layer_; }
  LayerId layer_id() const;
  InodeNumber ino() const { return ino_; }
  // False only if all earlier changes are durable: never while a sync of one is under way.
  bool NeedsSync() const { return changes_ != durable_changes_; }

  // See PageMap; a file without a map holds every page and inherits nothing.
  PageMap::Run RunAt(PageNumber page, uint64_t limit) const;
  uint64_t inherited_bytes() const;

  // Fills `into`. Bytes past the end of the page file are zeros.
  Status Read(uint64_t offset_bytes, std::span<std::byte> into);
  // The caller is about to read the held pages of the range: the host may read ahead.
  void WillNeed(ByteRange range);
  // Writes bytes of pages that are held, or that the caller claims next.
  Status Write(uint64_t offset_bytes, std::span<const std::byte> data);
  // Marks pages as held by the layer.
  void ClaimPages(PageNumber first, uint64_t count);
  // Sets the size, and hides the content below from `size_bytes` on.
  Status Truncate(uint64_t size_bytes);
  Status Allocate(ByteRange range, bool keep_size);
  // Makes whole pages read as zeros, and holds them.
  Status PunchPages(PageNumber first, uint64_t count);

  // A stretch that is all data or all hole.
  struct Extent {
    bool is_data;
    uint64_t length_bytes;
  };
  // The stretch that `range` begins with.
  Result<Extent> ExtentAt(ByteRange range);

  Result<os::FileInfo> Stat() { return file_->Stat(); }
  Status SetTimes(TimeNs atime, TimeNs mtime);

  // Makes all earlier changes durable: the pages, then the map, then the names of both files. No
  // I/O if there were none. If a sync of the host fails, the content of the disk is unknown: this
  // and every later call fails, and the layer is marked as failed. If only the map's blocks could
  // not be had (ENOSPC, EDQUOT), nothing is lost, and the next call does all of it.
  Status Sync(os::SyncKind kind);
  // For the caller that removes its files next: from now on syncs do nothing, and none is under way
  // on return.
  void Abandon();

  // Notes that there is something to sync. To be called after each change, also after one that
  // failed: the host may have made a part of it.
  void MarkDirty();
  // For the layer's list of dirty files: whether this file may leave it.
  bool MayLeaveDirtyList();

 private:
  Status SyncChanges(os::SyncKind kind) REQUIRES(sync_lock_);
  Status WriteMap(const std::vector<PageMap::DirtyBlock>& blocks) REQUIRES(sync_lock_);
  // If it is a failure, every later sync returns it.
  Status RecordFailure(Status status) REQUIRES(sync_lock_);

  Layer& layer_;  // outlives its page files
  const InodeNumber ino_;
  const std::unique_ptr<os::File> file_;
  const bool has_map_;

  mutable Mutex map_lock_;
  std::optional<PageMap> map_ GUARDED_BY(map_lock_);

  // How many changes there were, and how many of them are durable. Both only grow.
  std::atomic<uint64_t> changes_ = 0;
  std::atomic<uint64_t> durable_changes_ = 0;
  std::atomic<bool> is_listed_ = false;  // in the layer's list of dirty files, or about to be
  Mutex sync_lock_;                      // one sync at a time; taken before map_lock_
  std::unique_ptr<os::File> map_file_ GUARDED_BY(sync_lock_);
  bool names_durable_ GUARDED_BY(sync_lock_);
  bool is_abandoned_ GUARDED_BY(sync_lock_) = false;
  Status failure_ GUARDED_BY(sync_lock_);
};

}  // namespace velafs::layer
