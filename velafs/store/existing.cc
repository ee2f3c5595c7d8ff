// What `clone` does with a branch that is there already.
#include <cerrno>

#include "velafs/store/rules.h"
#include "velafs/store/store.h"

namespace velafs::store {
namespace {

using catalog::BookmarkRow;
using catalog::BranchRow;

std::string SourceOf(const BranchRow& branch) {
  if (branch.parent_name.empty()) return "";
  return branch.parent_bookmark_name.empty()
             ? branch.parent_name
             : branch.parent_name + "@" + branch.parent_bookmark_name;
}

}  // namespace

// Errno ESTALE when the branch is gone by now.
Status Store::TakeExisting(const Caller& caller, const SourceRef& source, const std::string& name,
                           const CloneOptions& options) {
  WriterLock lock(verbs_mutex_);
  VELAFS_ASSIGN(Origin origin, FindOrigin(source));
  if (options.at) {
    VELAFS_ASSIGN(origin.bookmark, FindBookmarkAt(origin.branch, *options.at));
  }
  VELAFS_TRY(CheckMayTake(caller, origin));
  if (name == importing_) return Exists("branch " + Quoted(name) + " is being imported");
  const Result<BranchRow> found = FindBranch(name);
  if (found.status().code() == Code::kNotFound) return Errno(ESTALE);
  VELAFS_TRY(found.status());
  const BranchRow& branch = *found;
  VELAFS_TRY(CheckMayChange(caller, branch));
  const bool is_reset = options.if_exists == IfExists::kReset;
  const BookmarkId bookmark = origin.bookmark ? origin.bookmark->id : BookmarkId();
  const bool is_from_there =
      branch.parent == origin.branch.id && (is_reset || branch.parent_bookmark == bookmark);
  if (!is_from_there) {
    const std::string from = SourceOf(branch);
    return Refused("branch " + Quoted(name) + " exists, and it was " +
                       (from.empty() ? "imported" : "cloned from " + Quoted(from)),
                   "choose another name, or delete it first: velafs delete " + name);
  }

  const std::string owner = options.owner.value_or(caller.user);
  if (branch.owner != owner) {
    return Refused("branch " + Quoted(name) + " exists, and it belongs to " + Quoted(branch.owner),
                   "choose another name");
  }
  if (branch.is_ephemeral != options.is_ephemeral) {
    return Refused("branch " + Quoted(name) + " exists, and it is " +
                       (branch.is_ephemeral ? "" : "not ") + "ephemeral",
                   "choose another name, or delete it first: velafs delete " + name);
  }
  VELAFS_ASSIGN(const auto shown_as, ShownAs(caller, options));
  if (options.as_user && branch.shown_as != shown_as) {
    return Refused("branch " + Quoted(name) + " exists, and its files are shown as another user's",
                   "choose another name, or delete it first: velafs delete " + name);
  }
  VELAFS_ASSIGN(const auto ttl, CloneTtl(options.ttl, origin.branch));
  VELAFS_ASSIGN(const auto expires_at, TimeAfter(NowNs(), ttl));
  const auto renew = [&](BranchRow& row) {
    if (expires_at) row.expires_at = expires_at;
  };
  if (!is_reset) {
    return WriteDurably([&](catalog::Writer& writer) -> Status {
      VELAFS_ASSIGN(std::optional<BranchRow> row, writer.Branch(name));
      if (!row) return Errno(ESTALE);
      renew(*row);
      return writer.UpdateBranch(*row);
    });
  }
  VELAFS_TRY(CheckNotProtected(branch));
  if (Status idle = CheckNotRunning(branch); !idle.ok()) {
    return std::move(idle).WithHint("velapg stops, resets and starts it: velapg reset " + name);
  }
  std::optional<BookmarkRow> kept;
  if (!branch.is_ephemeral) {
    VELAFS_ASSIGN(kept, BeforeReset(caller, branch, origin.ToString()));
  }
  return ResetTo(branch, origin, kept, [&](BranchRow& row) {
    renew(row);
    TakeRights(caller, origin.branch, &row);
    row.parent_bookmark = bookmark;
    row.parent_bookmark_name = origin.bookmark ? origin.bookmark->name : "";
  });
}

}  // namespace velafs::store
