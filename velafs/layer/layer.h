// One layer in memory: the page files in its directory, and its sealed content.
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

// Thread-safe. The directory decides which page files there are.
class Layer : public std::enable_shared_from_this<Layer> {
 public:
  // For a layer that was just made, with nothing on disk.
  static std::shared_ptr<Layer> New(const VolumeParts& parts, LayerId id);
  // Loads a layer from its directory and its sealed rows. Corrupt if its mark counts more sealings
  // than the catalog.
  static Result<std::shared_ptr<Layer>> Load(const VolumeParts& parts, LayerId id, bool is_settled);

  LayerId id() const { return id_; }
  os::Storage& storage() const { return parts_.storage; }
  std::string PagePath(InodeNumber ino) const;
  std::string MapPath(InodeNumber ino) const;

  // The layer's page file of an inode; null if it has none. `inherits`: the inode was not born in
  // the layer; then a page file without a written map counts as none. Corrupt if the map is
  // damaged. Corrupt in a settled layer if one of the two is missing or the page file is too short.
  Result<std::shared_ptr<PageFile>> Find(InodeNumber ino, bool inherits);
  // Makes a page file of `size_bytes`. `inherited_bytes`: how much of the file below shows through
  // it; the space of its map is allocated, so that no sync fails for want of space. Without it,
  // there is nothing below.
  Result<std::shared_ptr<PageFile>> Create(InodeNumber ino, uint64_t size_bytes,
                                           std::optional<uint64_t> inherited_bytes);
  // False if the inode's map never reached the disk: it is missing, short, or begins with zeros.
  bool HasWrittenMap(InodeNumber ino) const;
  // Removes an inode's page file and map from disk, if there are any.
  Status Discard(InodeNumber ino);
  // Removes from disk the maps that a crash has left without their page files: they would pass for
  // the maps of later page files. To be called before any change.
  Status RemoveStrayMaps();

  // All content that the layer has of a file: a page file, as Find returns it, and sealed content.
  // Nothing if it has neither.
  Result<std::optional<LayerContent>> ContentOf(InodeNumber ino, bool inherits);
  // The content of a file that was imported into the layer.
  std::shared_ptr<SealedFile> Imported(InodeNumber ino);
  bool IsSealed(InodeNumber ino) const;
  std::set<InodeNumber> InodesWithContent() const;  // imported files left out
  // Marks the directory, durably: the layer was sealed for the `seals`th time, so only the catalog
  // knows some of its content. A catalog that counts fewer sealings is an older one. To be called
  // before sealed page files are removed.
  Status MarkSealed(uint64_t seals);
  // For files whose content the catalog has, durably: their page files are found no longer. Returns
  // all of those, null for one that nobody has open: RemoveForgotten must wait for the others.
  using ForgottenFiles = std::map<InodeNumber, std::shared_ptr<PageFile>>;
  ForgottenFiles ForgetPageFiles(const std::vector<catalog::Reader::SealedInode>& sealed);
  // For a layer that is sealed as a whole: marks it, and removes the page files that a crash has
  // left.
  Status RemoveSealedPageFiles();
  // Removes a forgotten page file and its map from disk; returns their bytes.
  Result<uint64_t> RemoveForgotten(InodeNumber ino);

  struct PageFileName {
    InodeNumber ino;
    bool has_map;
  };
  std::vector<PageFileName> PageFiles() const;
  bool HasPageFiles() const;
  bool IsOnDisk() const;  // has a directory
  // Bytes on disk of all page files and maps. Counts anew if something has changed since the last
  // count and that is older than `max_age`.
  Result<uint64_t> AllocatedBytes(std::chrono::nanoseconds max_age);

  // Syncs every page file with changes that are not durable. Returns the first failure; the rest is
  // tried all the same. `older_than`: only files dirty since before that time.
  Status SyncDirty(TimeNs older_than);
  // Makes the directory's entries, and the directory's own, durable.
  Status SyncNames();

  // Whether a sync has failed for good: see PageFile::Sync.
  bool has_failed() const { return has_failed_; }
  void SetFailed() { has_failed_ = true; }
  // False if a crash may have left page files here that no sync had reached: the catalog does not
  // call the layer settled, and this process has not recovered it. If a settled layer misses
  // something, the disk has lost it.
  bool is_settled() const { return is_settled_; }
  // Runs `recover` unless the layer is settled. If it succeeds, the layer is settled. Other callers
  // wait.
  Status SettleOnce(const std::function<Status()>& recover);

  // For PageFile: dirty page files stay open, since their maps are only in memory.
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
