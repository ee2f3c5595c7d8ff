// The part of a store that its mount needs.
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
  // The branches that a user may see: all if the user may `list`, else the user's own and those
  // shown as the user's. Looks up the role.
  Result<std::vector<std::string>> NamesShownTo(const Caller& caller) const;
  // Refused, naming the branches, while a server runs on any.
  Status CheckNoServers() const;
  // See StoreMount::Set.
  void SetMount(std::string mountpoint, MountListener* listener) const;

 private:
  StoreContext& context_;
};

}  // namespace velafs::store
