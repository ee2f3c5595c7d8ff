#include "velafs/layer/delayed_removals.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "velafs/layer/layer.h"

namespace velafs::layer {

void DelayedRemovals::AddDeletedFile(std::shared_ptr<Layer> layer, InodeNumber ino,
                                     catalog::CommitSequence deletion) {
  MutexLock lock(lock_);
  deleted_files_.push_back({std::move(layer), ino, deletion});
}

Status DelayedRemovals::RemoveDeletedFiles() {
  std::vector<DeletedFile> files;
  {
    MutexLock lock(lock_);
    files.swap(deleted_files_);
  }
  if (files.empty()) return {};
  catalog::CommitSequence last = 0;
  for (const DeletedFile& file : files) last = std::max(last, file.deletion);
  Status first_failure = catalog_.MakeDurable(last);
  std::vector<DeletedFile> left;
  for (DeletedFile& file : files) {
    Status done = first_failure.ok() ? file.layer->Discard(file.ino) : first_failure;
    if (done.ok()) continue;
    if (first_failure.ok()) first_failure = std::move(done);
    left.push_back(std::move(file));
  }
  if (left.empty()) return {};
  MutexLock lock(lock_);
  std::ranges::move(left, std::back_inserter(deleted_files_));
  return first_failure;
}

void DelayedRemovals::AddSealedFile(std::shared_ptr<Layer> layer, InodeNumber ino,
                                    std::weak_ptr<PageFile> open) {
  MutexLock lock(lock_);
  sealed_files_.push_back({std::move(layer), ino, std::move(open)});
}

Result<uint64_t> DelayedRemovals::RemoveSealedFiles() {
  std::vector<SealedPageFile> unused;
  {
    MutexLock lock(lock_);
    std::erase_if(sealed_files_, [&unused](const SealedPageFile& file) {
      if (!file.open.expired()) return false;
      unused.push_back(file);
      return true;
    });
  }
  uint64_t bytes = 0;
  for (const SealedPageFile& file : unused) {
    VELAFS_ASSIGN(const uint64_t removed, file.layer->RemoveForgotten(file.ino));
    bytes += removed;
  }
  return bytes;
}

std::set<LayerId> DelayedRemovals::LayersWithSealedFiles() {
  MutexLock lock(lock_);
  std::set<LayerId> layers;
  for (const SealedPageFile& file : sealed_files_) layers.insert(file.layer->id());
  return layers;
}

void DelayedRemovals::AddLayer(std::shared_ptr<Layer> layer) {
  MutexLock lock(lock_);
  layers_.push_back(std::move(layer));
}

std::vector<LayerId> DelayedRemovals::TakeUnusedLayers() {
  std::vector<LayerId> unused;
  MutexLock lock(lock_);
  std::erase_if(layers_, [&unused](const std::shared_ptr<Layer>& layer) {
    if (layer.use_count() > 1) return false;
    unused.push_back(layer->id());
    return true;
  });
  return unused;
}

}  // namespace velafs::layer
