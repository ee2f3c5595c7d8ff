// A store, and the verbs that users have on it. One process at a time has a store open (run/lock).
#pragma once

#include <memory>
#include <string>

#include "velafs/base/status.h"
#include "velafs/os/file_lock.h"
#include "velafs/os/storage.h"
#include "velafs/store/context.h"

namespace velafs::store {

class BookmarkVerbs;
class BranchVerbs;
class GovernVerbs;
class ImportVerbs;
class MountedStore;
class ReplaceVerbs;
class ServerVerbs;
class StateVerbs;
class TablespaceVerbs;
class TrashVerbs;
class UpkeepVerbs;
class UsageVerbs;

// Thread-safe. Each family of verbs has a header of its own, to be included by its callers:
// branches() is in branch_verbs.h, and so on. A family borrows the store.
class Store {
 public:
  // Makes a store in `directory`, which must be missing (its parents are made too) or empty.
  // Durable on return. Exists when it holds one already, Refused when it holds anything else.
  static Status Init(const std::string& directory, os::Storage& storage = os::HostStorage());
  // Takes the store's lock and opens it, with recovery, which removes the leavings of interrupted
  // commands. NotFound if there is none, Unreachable if it belongs to another user, Refused if
  // other users may write to it, Locked (naming the holder's pid) if another process has it open.
  // Corrupt, with nothing changed, if the catalog is missing, damaged, or older than other files of
  // the store.
  static Result<std::unique_ptr<Store>> Open(const std::string& directory,
                                             os::Storage& storage = os::HostStorage());
  ~Store();

  ImportVerbs imports();          // import/import_verbs.h
  BranchVerbs branches();         // branch_verbs.h
  TrashVerbs trash();             // trash_verbs.h
  BookmarkVerbs bookmarks();      // bookmark_verbs.h
  ReplaceVerbs replacing();       // replace_verbs.h
  StateVerbs states();            // state_verbs.h
  TablespaceVerbs tablespaces();  // tablespace_verbs.h
  ServerVerbs servers();          // server_verbs.h
  GovernVerbs governance();       // govern/govern_verbs.h
  UsageVerbs usage();             // govern/usage_verbs.h
  UpkeepVerbs upkeep();           // upkeep_verbs.h
  MountedStore mounted();         // mounted_store.h

  StoreContext& context() { return context_; }
  const StorePaths& paths() const { return context_.paths; }
  layer::Volume& volume() { return *context_.volume; }
  AuditLog& audit_log() { return *context_.audit_log; }
  Policies& policies() { return *context_.policies; }
  ServerRegistry& server_registry() { return context_.servers; }

  // From now on the catalog is copied now and then, until Close.
  void KeepCatalogCopies();
  // Everything to disk, for a clean end. Nothing but the destructor may follow.
  Status Close();

 private:
  Store(const StorePaths& paths, os::Storage& storage, os::FileLock lock);
  Status OpenParts();

  os::FileLock lock_;
  StoreContext context_;
};

}  // namespace velafs::store
