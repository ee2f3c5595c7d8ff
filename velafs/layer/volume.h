// All branches of a store as live filesystem trees, and the operations that change whole branches.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "velafs/base/ids.h"
#include "velafs/base/status.h"
#include "velafs/catalog/catalog.h"
#include "velafs/chunk/packs.h"
#include "velafs/os/storage.h"

namespace velafs::layer {

class Branch;

// What a volume stands on; borrowed, and must outlive it.
struct VolumeParts {
  os::Storage& storage;
  catalog::Catalog& catalog;
  chunk::PackReader& packs;
  std::string layers_directory;
};

struct BranchUsage {
  uint64_t own_bytes = 0;      // on disk in layers that only this branch needs
  uint64_t logical_bytes = 0;  // sum of the sizes of its regular files
};

// Thread-safe.
class Volume {
 public:
  explicit Volume(VolumeParts parts);
  ~Volume();

  // The branch, opened when it is not open yet. NotFound, or ESTALE for an instance that is no
  // more.
  Result<std::shared_ptr<Branch>> Open(const std::string& name);
  Result<std::shared_ptr<Branch>> Open(InstanceId instance);

  // Freezes what branch `name` is now, atomically over all its files and while it is written, and
  // runs `also` in the catalog transaction that does it, with the layer that holds that state:
  // there a caller makes the branch or bookmark that stands on it. Durable on return, pages
  // included. A head that holds nothing is not frozen: its parent is that state already.
  Status Freeze(const std::string& name,
                const std::function<Status(catalog::Writer&, LayerId frozen)>& also);

  // Removes the branch and every layer nothing else needs. Open inodes of it answer ESTALE from now
  // on. `also` runs in the same transaction, before the removal. Durable on return; disk space is
  // free.
  Status Remove(const std::string& name, const std::function<Status(catalog::Writer&)>& also);

  Result<BranchUsage> Usage(const std::string& name);

  // Removes layer directories the catalog does not know. Once, before anything is opened.
  Status RemoveOrphans();

  // Makes everything written durable, on every open branch. The first failure is returned, the rest
  // is tried all the same.
  Status SyncAll();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace velafs::layer
