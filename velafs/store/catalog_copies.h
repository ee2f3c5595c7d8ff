// Copies of the catalog, for the day it is lost: STORE/copies/catalog-<n>.db.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "velafs/base/periodic_thread.h"
#include "velafs/base/status.h"
#include "velafs/base/units.h"
#include "velafs/os/storage.h"

namespace velafs::store {

struct StorePaths;

struct CatalogCopy {
  uint64_t number = 0;
  std::string path;
  TimeNs made_at = 0;
};
// Newest first.
Result<std::vector<CatalogCopy>> ListCatalogCopies(os::Storage& storage, const StorePaths& paths);

// Copies the catalog as it is now, verifies the copy and makes it durable; removes all but the
// newest few. The catalog's writers go on meanwhile. ENOSPC, with nothing left, when that would not
// leave the disk enough room.
Status MakeCatalogCopy(os::Storage& storage, const StorePaths& paths);

// Makes copies as long as it lives, on a thread of its own: at once if the newest is not of the
// catalog as it is and older than an hour, when asked for, and then every hour in which the catalog
// has changed. Logs a copy that fails. The destructor waits for a copy under way. Thread-safe.
class CatalogCopyKeeper {
 public:
  // Borrowed.
  CatalogCopyKeeper(os::Storage& storage, const StorePaths& paths);

  // A copy soon, whatever the time.
  void Request() { thread_.Wake(); }

 private:
  PeriodicThread thread_;
};

// As MakeCatalogCopy, but does nothing if the newest copy equals the catalog, and logs a failure
// instead of returning it: no command fails because of a missing copy.
void MakeCatalogCopyIfChanged(os::Storage& storage, const StorePaths& paths);

}  // namespace velafs::store
