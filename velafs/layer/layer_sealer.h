// Sealing a frozen layer: its pages become chunks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "velafs/base/ids.h"
#include "velafs/base/status.h"
#include "velafs/base/units.h"
#include "velafs/catalog/catalog.h"
#include "velafs/layer/seal_sink.h"

namespace velafs::layer {

class Branch;
class LayerPin;
class Volume;

// Makes chunks of what a frozen layer holds. Nothing anybody sees changes, and everything may go on
// meanwhile. One thread; one merge or sealing of a volume at a time.
//
// After Start, SealPart until the layer is sealed or one fails, then End. If End is left out, what
// was committed stays, and its page files go when the store is next opened.
class LayerSealer {
 public:
  // Finds a layer that was frozen before that time, and pins it until this is destroyed; null if
  // there is none to seal. With no other operation on branches under way.
  static Result<std::unique_ptr<LayerSealer>> Start(Volume& volume, TimeNs frozen_before);
  ~LayerSealer();

  LayerId layer() const;
  // The layer that manifests belong to until the part they are in is committed.
  LayerId draft() const;
  bool is_sealed() const { return is_sealed_; }  // all of the layer

  // Puts files of about `limit_bytes` that are not sealed yet into the sink, and commits them. The
  // commit is durable after End. Refused if `go_on` was false.
  Status SealPart(SealSink& sink, uint64_t limit_bytes, const std::function<bool()>& go_on);
  // Removes the page files of what was committed; those that somebody reads go later. Returns the
  // space that was freed, or the first failure, the one of SealPart (`outcome`) before all others.
  // If anything was committed, `before_removal` runs first, and nothing is removed if it fails. The
  // volume leaves alone a layer that could not be sealed, except for want of space.
  Result<uint64_t> End(Status outcome, const std::function<Status()>& before_removal);

 private:
  LayerSealer(Volume& volume, std::unique_ptr<LayerPin> pin);
  // Returns the rows that the layer is to have of the files; `*is_rest` if they are the last.
  Result<std::vector<catalog::InodeRow>> StoreFiles(SealSink& sink, uint64_t limit_bytes,
                                                    const std::function<bool()>& go_on,
                                                    bool* is_rest);
  Status Commit(SealSink& sink, std::vector<catalog::InodeRow> rows, bool is_rest);
  Result<uint64_t> RemovePageFiles();
  // Records the outcome and releases the layer.
  Status Release(const Status& outcome);

  Volume& volume_;
  const std::unique_ptr<LayerPin> pin_;
  std::shared_ptr<Branch> view_;  // what the layer shows
  std::vector<catalog::InodeRow> committed_;
  catalog::CommitSequence last_commit_ = 0;
  uint64_t seals_ = 0;                // commits of the layer, ever
  std::set<InodeNumber> gone_files_;  // whose page files the layer has, and nobody sees
  bool is_sealed_ = false;
};

}  // namespace velafs::layer
