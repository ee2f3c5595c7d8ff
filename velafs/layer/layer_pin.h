// Keeps a frozen layer while a job works on it.
#pragma once

#include <functional>
#include <memory>

#include "velafs/base/ids.h"
#include "velafs/base/status.h"
#include "velafs/catalog/catalog.h"

namespace velafs::layer {

class Branch;
class Volume;

// A row in state importing that stands on a layer: verbs that remove what nothing needs leave that
// layer, and all below it. One that a crash has left is removed when the store is next opened. One
// thread.
class LayerPin {
 public:
  // Pins the layer that `find` returns, in the same transaction. Null if it returns none. Not
  // durable on return.
  static Result<std::unique_ptr<LayerPin>> Make(
      Volume& volume, const std::function<Result<LayerId>(catalog::Reader&)>& find);
  // Releases it, if that has not been done.
  ~LayerPin();

  LayerId layer() const { return layer_; }
  LayerId id() const { return id_; }  // of the row; none once it is released
  // What the pinned layer shows, from the top directory on.
  Result<std::shared_ptr<Branch>> OpenState() const;

  // Removes the row, and the layers that nothing needs then. `also` runs in the same transaction.
  // Durable on return. If it fails, the next opening of the store does it.
  Status Release(const std::function<Status(catalog::Writer&)>& also);
  Status Release();
  // The caller has removed the row.
  void NoteReleased() { id_ = {}; }

 private:
  LayerPin(Volume& volume, LayerId layer) : volume_(volume), layer_(layer) {}

  Volume& volume_;
  const LayerId layer_;
  LayerId id_;
  InodeNumber root_;
};

}  // namespace velafs::layer
