// Access of this process to a store, behind velafs::Client and for code that needs the store
// itself.
#pragma once

#include <memory>
#include <string>

#include "velafs/base/status.h"
#include "velafs/client.h"

namespace velafs::store {
class Store;
}  // namespace velafs::store

namespace velafs::api {

// Exactly one is set.
struct StoreAccess {
  StoreAccess();
  StoreAccess(StoreAccess&&) noexcept;
  ~StoreAccess();

  std::unique_ptr<store::Store> store;  // opened here, with its lock
  std::unique_ptr<Client> daemon;       // served by another process
};
// Fails and waits as Client::Connect does.
Result<StoreAccess> ReachStore(const std::string& store_directory);

// Unreachable unless a daemon answers at the store's socket within three seconds.
Status AskDaemon(const std::string& store_directory);

// The store of a user who names none.
std::string DefaultStoreDirectory();

// Runs the verb "scrub" in the daemon, or here if there is none.
Result<nlohmann::json> CallScrub(const std::string& store_directory,
                                 const nlohmann::json& arguments, const ProgressFn& progress);

}  // namespace velafs::api
