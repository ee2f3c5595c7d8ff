#include "velafs/store/tablespace_verbs.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "velafs/layer/branch.h"
#include "velafs/layer/volume.h"
#include "velafs/os/acting_as.h"
#include "velafs/store/branch_tablespaces.h"
#include "velafs/store/context.h"
#include "velafs/store/import/source_tree.h"
#include "velafs/store/lookup.h"
#include "velafs/store/rules.h"

namespace velafs::store {
namespace {

// Content of the host is read with the rights of the data's owner, and ends where he reads it: so
// he, or who may all that he may, has to be the one who asks.
Status CheckActsForOwner(const Caller& caller, const os::Credentials& owner) {
  if (caller.uid == owner.uid || caller.uid == 0 || caller.uid == geteuid()) return {};
  return Refused("its data belongs to another user",
                 "run this command as the data's owner or as root");
}

// Refused unless nothing is where the link leads to.
Status CheckIsGone(const Tablespace& tablespace, const os::Credentials& owner) {
  const std::string of = "tablespace " + tablespace.oid;
  if (tablespace.form != TablespaceForm::kLeadsOut) {
    return Refused(of + " does not lead out of the branch");
  }
  if (!tablespace.target.starts_with('/')) return {};
  VELAFS_ASSIGN(const os::ActingAs acting, os::ActingAs::Begin(owner));
  struct stat info;
  if (stat(tablespace.target.c_str(), &info) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
    return {};
  }
  return Refused("\"" + tablespace.target + "\", which " + of + " leads to, is there",
                 "--bring-in copies it into the branch");
}

Result<std::vector<Tablespace>> MendTablespaces(StoreContext& context, const Caller& caller,
                                                const std::string& name,
                                                const std::function<Status(layer::Branch&)>& mend) {
  const std::string cannot = "cannot repair the tablespaces of " + Quoted(name);
  std::shared_ptr<layer::Branch> branch;
  {
    WriterLock lock(context.verbs_mutex);
    VELAFS_ASSIGN(const catalog::BranchRow row, FindBranch(context, name));
    VELAFS_TRY(CheckMayChange(caller, row).WithContext(cannot));
    VELAFS_TRY(CheckNotRunning(context, row).WithContext(cannot));
    VELAFS_ASSIGN(branch, context.volume->Open(name));
  }
  // Others' verbs go on while this copies.
  Status mended = mend(*branch);
  // What was changed did not come through the mount, so the kernel has to ask anew.
  context.mount.TellRemoved(name);
  context.mount.TellAdded(name);
  VELAFS_TRY(std::move(mended).WithContext(cannot));
  return ListTablespaces(*branch);
}

}  // namespace

Result<std::vector<Tablespace>> TablespaceVerbs::List(const std::string& name) {
  VELAFS_TRY(FindBranch(context_, name).status());
  VELAFS_ASSIGN(const auto branch, context_.volume->Open(name));
  return ListTablespaces(*branch);
}

Result<std::vector<Tablespace>> TablespaceVerbs::BringIn(const Caller& caller,
                                                         const std::string& name) {
  const std::string removes = " removes the link";
  const auto bring_in = [&](layer::Branch& branch) -> Status {
    VELAFS_ASSIGN(const std::vector<Tablespace> found, ListTablespaces(branch));
    VELAFS_ASSIGN(const os::Credentials owner, DataOwner(branch));
    bool changes = false;
    for (const Tablespace& tablespace : found) {
      if (tablespace.form == TablespaceForm::kInside) continue;
      if (tablespace.form == TablespaceForm::kLeadsOut) {
        VELAFS_TRY(CheckActsForOwner(caller, owner));
        if (owner.uid == 0) {  // who may read all, wherever somebody's link leads
          return Refused("its data belongs to root",
                         "chown its PG_VERSION to the user who runs its servers");
        }
        if (!tablespace.target.starts_with('/')) {
          return Refused("tablespace " + tablespace.oid + " leads to \"" + tablespace.target +
                             "\", which depends on where the store is mounted",
                         "--drop " + tablespace.oid + removes);
        }
        Status copied = CopyOldTablespace(branch, tablespace.oid, tablespace.target, owner);
        const bool is_gone = copied.error_number() == ENOENT && copied.hint().empty();
        if (is_gone) copied = std::move(copied).WithHint("--drop " + tablespace.oid + removes);
        VELAFS_TRY(std::move(copied).WithContext("tablespace " + tablespace.oid));
        // One may have been started meanwhile, and may have written to what was copied.
        VELAFS_ASSIGN(const catalog::BranchRow row, FindBranch(context_, name));
        VELAFS_TRY(CheckNotRunning(context_, row));
      }
      if (!changes) VELAFS_TRY(AllowInPlace(branch));
      changes = true;
      VELAFS_TRY(ReplaceOldLink(branch, tablespace.oid));
    }
    return {};
  };
  return MendTablespaces(context_, caller, name, bring_in);
}

Result<std::vector<Tablespace>> TablespaceVerbs::DropLink(const Caller& caller,
                                                          const std::string& name,
                                                          const std::string& oid) {
  const auto drop = [&](layer::Branch& branch) -> Status {
    VELAFS_ASSIGN(const std::vector<Tablespace> found, ListTablespaces(branch));
    const auto it = std::ranges::find(found, oid, &Tablespace::oid);
    if (it == found.end()) return NotFound("there is no tablespace " + Quoted(oid));
    VELAFS_ASSIGN(const os::Credentials owner, DataOwner(branch));
    VELAFS_TRY(CheckActsForOwner(caller, owner));
    VELAFS_TRY(CheckIsGone(*it, owner));
    VELAFS_ASSIGN(const layer::Attributes links, branch.Lookup(branch.root(), kTablespaceLinks));
    VELAFS_TRY(branch.Unlink(links.ino, oid));
    return branch.Sync(links.ino, os::SyncKind::kFull);
  };
  return MendTablespaces(context_, caller, name, drop);
}

}  // namespace velafs::store
