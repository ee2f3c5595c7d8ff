// Files and layers that wait to be removed from disk.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <vector>

#include "velafs/base/ids.h"
#include "velafs/base/mutex.h"
#include "velafs/base/status.h"
#include "velafs/catalog/catalog.h"

namespace velafs::layer {

class Layer;
class PageFile;

// Thread-safe. In memory only: what a crash leaves on disk is removed when the store is next
// opened, or when the layer is recovered.
class DelayedRemovals {
 public:
  // Borrows the catalog.
  explicit DelayedRemovals(catalog::Catalog& catalog) : catalog_(catalog) {}

  // The layer's page file of a deleted file. It waits until no crash can bring back a name of that
  // file: `deletion` is the transaction that removed the last one.
  void AddDeletedFile(std::shared_ptr<Layer> layer, InodeNumber ino,
                      catalog::CommitSequence deletion);
  // Makes the deletions durable and removes the page files. Returns the first failure; what could
  // not be removed waits for the next call.
  Status RemoveDeletedFiles();

  // A page file whose content is sealed. It waits until nobody has it open.
  void AddSealedFile(std::shared_ptr<Layer> layer, InodeNumber ino, std::weak_ptr<PageFile> open);
  // Removes those that nobody has open; returns their bytes on disk.
  Result<uint64_t> RemoveSealedFiles();
  // The layers that sealed page files wait in.
  std::set<LayerId> LayersWithSealedFiles();

  // A layer that is in no chain of the catalog any more. It waits until nobody reads it.
  void AddLayer(std::shared_ptr<Layer> layer);
  // The layers that nobody reads any more. The caller removes them: they are returned once.
  std::vector<LayerId> TakeUnusedLayers();

 private:
  struct DeletedFile {
    std::shared_ptr<Layer> layer;
    InodeNumber ino;
    catalog::CommitSequence deletion;
  };
  struct SealedPageFile {
    std::shared_ptr<Layer> layer;
    InodeNumber ino;
    std::weak_ptr<PageFile> open;
  };

  catalog::Catalog& catalog_;
  Mutex lock_;
  std::vector<DeletedFile> deleted_files_ GUARDED_BY(lock_);
  std::vector<SealedPageFile> sealed_files_ GUARDED_BY(lock_);
  std::vector<std::shared_ptr<Layer>> layers_ GUARDED_BY(lock_);
};

}  // namespace velafs::layer
