#include "velafs/store/mounted_store.h"

#include "velafs/store/branch_verbs.h"
#include "velafs/store/context.h"
#include "velafs/store/govern/access.h"
#include "velafs/store/lookup.h"
#include "velafs/store/server_verbs.h"

namespace velafs::store {

const std::string& MountedStore::root() const { return context_.paths.root; }

layer::Volume& MountedStore::volume() const { return *context_.volume; }

ServerRegistry& MountedStore::servers() const { return context_.servers; }

Result<std::vector<std::string>> MountedStore::NamesShownTo(const Caller& caller) const {
  if (RoleOf(*context_.policies, caller) >= Role::kViewer) return BranchVerbs(context_).Names();
  VELAFS_ASSIGN(const std::vector<catalog::BranchRow> rows, Branches(context_));
  std::vector<std::string> names;
  for (const catalog::BranchRow& row : rows) {
    const bool is_shown = row.shown_as && row.shown_as->uid == caller.uid;
    if (is_shown || row.owner == caller.user) names.push_back(row.name);
  }
  return names;
}

Status MountedStore::CheckNoServers() const { return ServerVerbs(context_).CheckNoServers(); }

void MountedStore::SetMount(std::string mountpoint, MountListener* listener) const {
  context_.mount.Set(std::move(mountpoint), listener);
}

}  // namespace velafs::store
