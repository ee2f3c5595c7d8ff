// One layer as a running process sees it: the page files in its directory, and what of it is
// sealed.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "velafs/base/ids.h"
#include "velafs/base/mutex.h"
#include "velafs/base/status.h"
#include "velafs/layer/layer_content.h"
#include "velafs/layer/volume_parts.h"
#include "velafs/os/storage.h"

namespace velafs::layer {

// Thread-safe. What is in the directory is the truth of which page files there are.
class Layer : public std::enable_shared_from_this<Layer> {
 public:
  // A layer that was just made, with nothing on disk.
  static std::shared_ptr<Layer> New(const VolumeParts& parts, LayerId id);
  // A layer with what its directory holds, and of what it is sealed. Corrupt when that is more than
  // the catalog knows.
  static Result<std::shared_ptr<Layer>> Load(const VolumeParts& parts, LayerId id, bool is_settled);

  LayerId id() const { return id_; }
  os::Storage& storage() const { return parts_.storage; }
  std::string PagePath(InodeNumber ino) const;
  std::string MapPath(InodeNumber ino) const;

  // The layer's page file of an inode; null when it has none. One that `inherits`, as all do but
  // those of inodes born in the layer, is not there unless its map has been written. Corrupt when
  // the map is damaged, or, in a settled layer, one of the two is missing or the file too short.
  Result<std::shared_ptr<PageFile>> Find(InodeNumber ino, bool inherits);
  // A new page file of `size_bytes`. With `inherited_bytes`, that much of the file below is seen
  // through it, and what its map will need is allocated: a sync does not fail for want of space.
  // Without, there is nothing below.
  Result<std::shared_ptr<PageFile>> Create(InodeNumber ino, uint64_t size_bytes,
                                           std::optional<uint64_t> inherited_bytes);
  // False when the inode's map never reached the disk: it is missing, short, or begins with zeros.
  bool HasWrittenMap(InodeNumber ino) const;
  // Removes an inode's page file and map from disk, if there are any.
  Status Discard(InodeNumber ino);
  // Removes from disk the maps that a crash has left without their page files: they would pass for
  // the maps of later ones. Before any change.
  Status RemoveStrayMaps();

  // All that the layer has of a file: as Find, and what has been sealed. Nothing when it has none.
  Result<std::optional<LayerContent>> ContentOf(InodeNumber ino, bool inherits);
  // Of a file that was imported into the layer.
  std::shared_ptr<SealedFile> Imported(InodeNumber ino);
  bool IsSealed(InodeNumber ino) const;
  std::set<InodeNumber> InodesWithContent() const;  // imported files left out
  // Notes in the directory, durably, that content of the layer is known to the catalog only, since
  // it was sealed for the `seals`th time: a catalog that knows of fewer is an older one. Before
  // page files that were sealed are removed.
  Status MarkSealed(uint64_t seals);
  // The catalog has what the layer holds of these files, durably: their page files are no longer
  // found. Returned are all there are, null where nobody has them open: RemoveRetired must wait for
  // the others.
  using Retired = std::map<InodeNumber, std::shared_ptr<PageFile>>;
  Retired Retire(const std::vector<catalog::Reader::SealedInode>& sealed);
  // Of a layer that is sealed as a whole: marks it, and removes what a crash has left of its page
  // files.
  Status RemoveSealedPageFiles();
  // Removes a retired page file and its map from disk; returns what they took.
  Result<uint64_t> RemoveRetired(InodeNumber ino);

  struct PageFileName {
    InodeNumber ino;
    bool has_map;
  };
  std::vector<PageFileName> PageFiles() const;
  bool HasPageFiles() const;
  bool IsOnDisk() const;  // has a directory
  // Of all page files and maps, on disk. Where there have been changes since they were last counted
  // they are counted anew, but not within `max_age` of that.
  Result<uint64_t> AllocatedBytes(std::chrono::nanoseconds max_age);

  // Syncs every page file with changes that are not durable; the first failure is returned, the
  // rest is tried all the same. `older_than`: only files dirty since before that time.
  Status SyncDirty(TimeNs older_than);
  // Makes the directory's entries, and the directory's own, durable.
  Status SyncNames();

  // Whether a sync has failed for good: see PageFile::Sync.
  bool has_failed() const { return has_failed_; }
  void SetFailed() { has_failed_ = true; }
  // False if a crash may have left page files here that no sync had reached: in a layer that the
  // catalog does not call settled, until this process has recovered it. What a settled layer should
  // have and has not, the disk has lost.
  bool is_settled() const { return is_settled_; }
  // Runs `recover` unless the layer is settled; it is if that succeeds. Others who call this wait.
  Status SettleOnce(const std::function<Status()>& recover);

  // For PageFile: dirty page files are kept open, since their maps are only in memory.
  void AddDirty(PageFile& file);
  void RemoveDirty(PageFile& file);

 private:
  Layer(const VolumeParts& parts, LayerId id);
  Status MakeDirectory() REQUIRES(lock_);
  Result<std::shared_ptr<PageFile>> FindLocked(InodeNumber ino, bool inherits) REQUIRES(lock_);
  std::shared_ptr<SealedFile> SealedLocked(InodeNumber ino, uint64_t inherited_bytes)
      REQUIRES(lock_);
  Result<std::shared_ptr<PageFile>> MakePageFile(InodeNumber ino, std::unique_ptr<os::File> file,
                                                 uint64_t size_bytes,
                                                 std::optional<uint64_t> inherited_bytes)
      REQUIRES(lock_);
  Result<std::unique_ptr<os::File>> MakeMapFile(InodeNumber ino, uint64_t inherited_bytes);
  Status ReadDirectory();
  Status ReadSealed();
  Status Missing(const std::string& path) const;
  Status RemoveIfAny(const std::string& path) const;

  const VolumeParts& parts_;
  const LayerId id_;
  const std::string directory_;
  std::atomic<bool> has_failed_ = false;
  Mutex recovery_lock_;  // held while the layer is recovered; taken before every other lock here
  std::atomic<bool> is_settled_ = true;

  struct Entry {
    bool has_map = false;
    std::weak_ptr<PageFile> open;
  };
  struct DirtyEntry {
    std::shared_ptr<PageFile> file;
    TimeNs since;
  };
  mutable Mutex lock_;
  bool has_directory_ GUARDED_BY(lock_) = false;
  std::unordered_map<InodeNumber, Entry> entries_ GUARDED_BY(lock_);
  std::set<InodeNumber> stray_maps_ GUARDED_BY(lock_);  // as the directory was when loaded
  uint64_t seals_ GUARDED_BY(lock_) = 0;         // as the catalog said when the layer was loaded
  uint64_t marked_seals_ GUARDED_BY(lock_) = 0;  // 0: it has no mark
  std::unordered_map<InodeNumber, uint64_t> sealed_inodes_
      GUARDED_BY(lock_);  // and what they inherit
  std::unordered_map<InodeNumber, std::weak_ptr<SealedFile>> sealed_ GUARDED_BY(lock_);
  std::map<InodeNumber, DirtyEntry> dirty_ GUARDED_BY(lock_);
  struct Count {
    uint64_t bytes;
    std::chrono::steady_clock::time_point at;
  };
  std::optional<Count> count_ GUARDED_BY(lock_);
  bool has_changed_ GUARDED_BY(lock_) = false;  // since count_

  Mutex names_lock_;
  bool own_name_durable_ GUARDED_BY(names_lock_) = false;
};

}  // namespace velafs::layer
