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

#include "velafs/base/ids.h"
#include "velafs/base/mutex.h"
#include "velafs/base/status.h"
#include "velafs/layer/page_map.h"
#include "velafs/os/storage.h"

namespace velafs::layer {

class Layer;

// Thread-safe, except that changes (Write, Hold, Truncate, PunchHole, Allocate) of one file are the
// caller's to serialise.
class PageFile {
 public:
  // `map_file`: null when it need not be open yet.
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

  // Fills `into`; zeros where the page file has none.
  Status Read(uint64_t offset_bytes, std::span<std::byte> into);
  // What is held of the range will be read, run by run: the disk may begin with all of it.
  void WillNeed(uint64_t offset_bytes, uint64_t length_bytes);
  // Writes bytes of pages that are held, or that Hold claims next.
  Status Write(uint64_t offset_bytes, std::span<const std::byte> data);
  void Hold(PageNumber first, uint64_t count);
  // Sets the size; content below is hidden from `size_bytes` on.
  Status Truncate(uint64_t size_bytes);
  Status Allocate(uint64_t offset_bytes, uint64_t length_bytes, bool keep_size);
  // Makes whole pages read as zeros, and holds them.
  Status PunchPages(PageNumber first, uint64_t count);

  // How many bytes from the offset, at most `limit`, are all data or all hole.
  struct Extent {
    bool is_data;
    uint64_t length_bytes;
  };
  Result<Extent> ExtentAt(uint64_t offset_bytes, uint64_t limit_bytes);

  Result<os::FileInfo> Stat() { return file_->Stat(); }
  Status SetTimes(TimeNs atime, TimeNs mtime);

  // Makes all earlier changes durable: the pages, then the map, then the names of both files. No
  // I/O when there were none. Once a sync of the host has failed, this fails for good, and the
  // layer knows: what the disk has is not known then. Where only the map's blocks could not be had
  // (ENOSPC, EDQUOT), nothing is lost, and the next call does all of it.
  Status Sync(os::SyncKind kind);
  // Before its files are removed: nothing of it needs to become durable any more, and no sync is
  // under way on return.
  void Abandon();

  // Notes that there is something to sync. Called after each change, also after one that failed:
  // the host may have made a part of it.
  void MarkDirty();
  // For the layer, whose list of dirty files this is in: whether it may leave the list.
  bool MayLeaveDirtyList();

 private:
  Status SyncChanges(os::SyncKind kind) REQUIRES(sync_lock_);
  Status WriteMap(const std::vector<PageMap::DirtyBlock>& blocks) REQUIRES(sync_lock_);
  // Keeps a failure, if it is one, for good.
  Status Keep(Status status) REQUIRES(sync_lock_);

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
