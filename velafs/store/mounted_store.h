// What a mount needs of the store that it shows.
#pragma once

#include <string>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/store/caller.h"

namespace velafs::layer {
class Volume;
}

namespace velafs::store {

class MountListener;
class ServerRegistry;
struct StoreContext;

// Thread-safe.
class MountedStore {
 public:
  explicit MountedStore(StoreContext& context) : context_(context) {}

  const std::string& root() const;  // the store's directory
  layer::Volume& volume() const;
  ServerRegistry& servers() const;
  // The branches that a user may know of: all for whoever may `list`, else those that are his, or
  // shown as his. The role is looked up.
  Result<std::vector<std::string>> NamesShownTo(const Caller& caller) const;
  // Refused, naming the branches, while a server runs on any.
  Status CheckNoServers() const;
  // See StoreMount::Set.
  void SetMount(std::string mountpoint, MountListener* listener) const;

 private:
  StoreContext& context_;
};

}  // namespace velafs::store
