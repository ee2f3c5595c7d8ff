// Prepares a branch once in each of its lives, before anyone can connect to it: removes replication
// slots and prepared transactions, detaches subscriptions that came with the data, and changes
// settings of databases and roles that name libraries to leave out. Call everything here as the
// data's owner; it is safe to repeat, and follows no link.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "pgctl-wrapper/config/overrides.h"
#include "pgctl-wrapper/config/preloads.h"
#include "pgctl-wrapper/server/run_dir.h"
#include "pgctl-wrapper/server/single_user.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// The preparation of a branch in its present life, as recorded in RUN_DIR/prepared. A branch's life
// ends when it is reset or promoted onto.
class PreparedMarker {
 public:
  // All undone, if the file is missing, of another life, or damaged.
  static PreparedMarker Read(const RunDir& run_dir, uint64_t instance);

  bool slots_removed() const { return slots_removed_; }
  bool catalog_prepared() const { return catalog_prepared_; }
  Status RecordSlotsRemoved();
  Status RecordCatalogPrepared();

 private:
  Status Write() const;

  std::string path_;
  uint64_t instance_ = 0;
  bool slots_removed_ = false;
  bool catalog_prepared_ = false;
};

struct Preparation {
  std::vector<Override> neutralised;
  std::vector<std::string> warnings;
};

// Removes all replication slots. The data directory is not in use.
Status RemoveReplicationSlots(const std::string& data_dir, Preparation* report);

// Whether a server may have something to remove, found without one from pg_twophase and the files
// of pg_subscription and pg_db_role_setting. True in doubt. Changes that are only in the WAL are
// not seen.
bool MayNeedPreparation(const std::string& data_dir);
// Likewise, of pg_subscription alone.
bool MayHaveSubscriptions(const std::string& data_dir);

// How many prepared transactions lie in pg_twophase.
size_t CountPreparedTransactions(const std::string& data_dir);
// True when a database's pg_foreign_server holds something.
bool MayHaveForeignServers(const std::string& data_dir);

using JudgeSetting = std::function<Result<std::vector<PreloadLibrary>>(const std::string& setting,
                                                                       const std::string& value)>;

// Rolls back the prepared transactions of the database that the server is connected to. Returns a
// database that has more of them; empty when none has.
Result<std::string> RollBackTransactions(SingleUser& server, Preparation* report);
// Disables all subscriptions and removes their slots and connections.
Status DetachSubscriptions(SingleUser& server, Preparation* report);
// Removes the libraries that `judge` drops from the settings of databases and roles; under
// `strict`, a missing one is refused.
Status DropLibrariesOfSettings(SingleUser& server, const std::string& branch,
                               const JudgeSetting& judge, bool strict, Preparation* report);

}  // namespace velafs::pgctl
