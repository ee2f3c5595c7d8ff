// The shared state of all verbs on one store: its parts, and the locks that verbs take.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "velafs/base/ids.h"
#include "velafs/base/mutex.h"
#include "velafs/base/mutex_by_key.h"
#include "velafs/base/status.h"
#include "velafs/base/units.h"
#include "velafs/os/space_reserve.h"
#include "velafs/os/storage.h"
#include "velafs/store/paths.h"
#include "velafs/store/server_registry.h"
#include "velafs/store/store_mount.h"
#include "velafs/store/turn.h"

namespace velafs::catalog {
class Catalog;
class Writer;
}  // namespace velafs::catalog
namespace velafs::chunk {
class PackReader;
}
namespace velafs::layer {
class Volume;
}

namespace velafs::store {

class AuditLog;
class CatalogCopyKeeper;
class Policies;

// Store::Open makes its parts. All of them are thread-safe.
//
// Lock order: packs_turn, merge_turn, import_turn, schedules_mutex, verbs_mutex, a mutex of
// freezing, then the catalog's and the volume's own. Those of `mount` come after schedules_mutex.
struct StoreContext {
  StoreContext(StorePaths store_paths, os::Storage& host_storage);
  ~StoreContext();

  // Runs `body` in a transaction; durable on return.
  Status WriteDurably(const std::function<Status(catalog::Writer&)>& body);

  const StorePaths paths;
  os::Storage& storage;
  os::SpaceReserve reserve;
  std::unique_ptr<catalog::Catalog> catalog;
  std::unique_ptr<AuditLog> audit_log;
  std::unique_ptr<Policies> policies;
  std::unique_ptr<chunk::PackReader> packs;
  std::unique_ptr<layer::Volume> volume;
  ServerRegistry servers;
  StoreMount mount;
  // Ephemeral branches that were not closed cleanly, and have lost their changes with this opening.
  std::vector<std::string> ephemerals_reset;
  std::unique_ptr<CatalogCopyKeeper> copies;  // null while nobody asked for copies

  Turn packs_turn;   // of reads of all packs, and of moves of chunks between them
  Turn merge_turn;   // of the merge, or sealing, of layers under way
  Turn import_turn;  // of storing chunks, and of collecting unused ones
  // Held by every other changing verb: shared by those that make a branch or bookmark of a state,
  // and leave all else as it is; by the others alone.
  SharedMutex verbs_mutex;
  MutexByKey<BranchId> freezing;  // held to freeze a branch while verbs_mutex is shared
  std::string importing GUARDED_BY(verbs_mutex);  // name of the branch being imported

  Mutex schedules_mutex;  // held while bookmarks are made and deleted by schedule
  // When a branch was last looked at for a bookmark by schedule.
  std::map<BranchId, TimeNs> looked_at GUARDED_BY(schedules_mutex);
};

}  // namespace velafs::store
