// What goes by itself when its time has come.
#include <algorithm>

#include "velafs/store/context.h"
#include "velafs/store/govern/access.h"
#include "velafs/store/govern/policies.h"
#include "velafs/store/lookup.h"
#include "velafs/store/removal.h"
#include "velafs/store/rules.h"
#include "velafs/store/states.h"
#include "velafs/store/upkeep_verbs.h"

namespace velafs::store {
namespace {

using catalog::BookmarkRow;
using catalog::BranchRow;

bool IsPast(const std::optional<TimeNs>& expires_at, TimeNs now) {
  return expires_at && *expires_at <= now;
}

OnExpire HowToExpire(const Policies& policies, const BranchRow& branch) {
  return ValueOf(kOnExpire, policies.Get("on_expire", &branch)).value_or(OnExpire::kDelete);
}

// The name, cut to what a name may have, with a number behind it when it is taken.
std::string UnusedName(const std::string& wanted, const std::vector<BookmarkRow>& bookmarks) {
  constexpr size_t kLongest = 56;  // leaves room for the number
  std::string name = wanted.substr(0, kLongest);
  const auto is_taken = [&] {
    return std::ranges::find(bookmarks, name, &BookmarkRow::name) != bookmarks.end();
  };
  for (int number = 2; is_taken(); ++number) {
    name = wanted.substr(0, kLongest) + "-" + std::to_string(number);
  }
  return name;
}

// Refused if the branch stays whatever its time is.
Status CheckMayExpire(StoreContext& context, const BranchRow& branch) {
  const OnExpire how = HowToExpire(*context.policies, branch);
  if (how == OnExpire::kKeep) return Refused("its policy is on_expire=keep");
  VELAFS_TRY(CheckNotProtected(branch));
  if (how != OnExpire::kBookmark) return {};
  std::optional<BranchRow> parent;
  VELAFS_TRY(context.catalog->Read([&](catalog::Reader& reader) -> Status {
    if (!branch.parent) return {};
    VELAFS_ASSIGN(parent, reader.BranchById(branch.parent));
    return {};
  }));
  if (parent && !parent->deleted_at) return {};
  return Refused("its policy is on_expire=bookmark, and it has no parent for the bookmark");
}

// With no lock held: a server writes its last checkpoint to the mount.
void StopExpired(StoreContext& context, const std::vector<BranchRow>& past, Expired* expired) {
  std::vector<BranchRow> running;
  std::vector<InstanceId> lives;
  for (const BranchRow& branch : past) {
    if (context.policies->Get("expire_running", &branch) == "keep") continue;
    if (!context.servers.On(branch.instance) || !CheckMayExpire(context, branch).ok()) continue;
    running.push_back(branch);
    lives.push_back(branch.instance);
  }
  if (running.empty()) return;
  context.servers.Stop(lives, {});
  for (const BranchRow& branch : running) {
    if (!context.servers.On(branch.instance)) expired->stopped.push_back(branch.name);
  }
}

// Deletes a branch whose time has passed, saving it first if that is asked for.
Result<BranchInfo> ExpireBranch(StoreContext& context, const Caller& caller,
                                const BranchRow& branch, bool dry_run, Expired* expired)
    REQUIRES(context.verbs_mutex) {
  VELAFS_TRY(CheckMayExpire(context, branch));
  // A dry run has stopped nothing: a server that would be stopped is in no way.
  const bool would_stop = dry_run && context.policies->Get("expire_running", &branch) == "stop";
  const DeleteOptions options{.force = would_stop, .purge = false, .dry_run = dry_run};
  if (HowToExpire(*context.policies, branch) != OnExpire::kBookmark) {
    return DeleteBranch(context, caller, branch.name, options);
  }
  std::optional<BranchRow> parent;
  BookmarkRow saved;
  VELAFS_TRY(context.catalog->Read([&](catalog::Reader& reader) -> Status {
    if (!branch.parent) return {};
    VELAFS_ASSIGN(parent, reader.BranchById(branch.parent));
    VELAFS_ASSIGN(const std::vector<BookmarkRow> bookmarks, reader.Bookmarks(branch.parent));
    saved.name = UnusedName("expired-" + branch.name, bookmarks);
    return {};
  }));
  if (!parent) return Corrupt("a parent that was there is not in the catalog");
  // Who might not make a bookmark of the parent does not get one by letting a clone of it expire.
  const bool may_bookmark =
      parent->owner == branch.owner || RoleOfUser(*context.policies, branch.owner) == Role::kAdmin;
  // Nor does what somebody wrote become a state of a branch that is not shown as his.
  const bool has_same_rights = !branch.shown_as || branch.shown_as == parent->shown_as;
  if (!may_bookmark || !has_same_rights) return DeleteBranch(context, caller, branch.name, options);
  saved.branch = parent->id;
  saved.root = branch.root;
  saved.note = "the state of " + branch.name + " when it expired";
  saved.created_at = NowNs();
  VELAFS_ASSIGN(BranchInfo info, DeleteBranch(context, caller, branch.name, options, &saved));
  expired->saved.push_back(parent->name + "@" + saved.name);
  return info;
}

Status ExpireBranches(StoreContext& context, const Caller& caller, bool dry_run, TimeNs now,
                      Expired* expired) {
  VELAFS_ASSIGN(std::vector<BranchRow> rows, Branches(context));
  std::erase_if(rows, [&](const BranchRow& row) {
    return !IsPast(row.expires_at, now) || !CheckMayChange(caller, row).ok();
  });
  if (!dry_run) StopExpired(context, rows, expired);
  for (const BranchRow& row : rows) {
    const bool may_go =
        CheckMayExpire(context, row).ok() && !context.servers.On(row.instance).has_value();
    if (!dry_run && may_go) TrySyncAhead(context, caller, row.name);
    const auto delete_if_past = [&]() -> Result<BranchInfo> {
      WriterLock lock(context.verbs_mutex);
      VELAFS_ASSIGN(const BranchRow current, FindBranch(context, row.name));
      if (!IsPast(current.expires_at, now)) return NotFound("it was given more time");
      return ExpireBranch(context, caller, current, dry_run, expired);
    };
    Result<BranchInfo> deleted = delete_if_past();
    if (deleted.ok()) {
      if (!dry_run) context.mount.TellRemoved(row.name);
      expired->branches.push_back(*std::move(deleted));
    } else if (deleted.status().code() == Code::kRefused) {
      expired->kept.push_back({row.name, deleted.status().message()});
    } else if (deleted.status().code() != Code::kNotFound) {
      return std::move(deleted).status().WithContext("cannot delete " + Quoted(row.name));
    }
  }
  if (dry_run) return {};
  RemoveWhatIsGone(context.storage, context.paths.Run());
  for (const BranchInfo& gone : expired->branches) {
    RemoveServerPlaces(context.paths.root, gone.id, gone.instance);
  }
  return {};
}

Status ExpireBookmarks(StoreContext& context, const Caller& caller, bool dry_run, TimeNs now,
                       Expired* expired) {
  WriterLock lock(context.verbs_mutex);
  struct Named {
    BookmarkRow row;
    std::string name;
  };
  std::vector<Named> past;
  VELAFS_TRY(context.catalog->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(const std::vector<BranchRow> branches, reader.Branches());
    for (const BranchRow& branch : branches) {
      if (!CheckMayChange(caller, branch).ok()) continue;
      VELAFS_ASSIGN(const std::vector<BookmarkRow> bookmarks, reader.Bookmarks(branch.id));
      for (const BookmarkRow& row : bookmarks) {
        if (IsPast(row.expires_at, now)) past.push_back({row, branch.name + "@" + row.name});
      }
    }
    return {};
  }));
  for (const Named& bookmark : past) {
    if (!dry_run) {
      VELAFS_TRY(RemoveBookmark(context, bookmark.row.branch, bookmark.row.name)
                     .WithContext("cannot delete bookmark " + Quoted(bookmark.name)));
    }
    expired->bookmarks.push_back(bookmark.name);
  }
  return {};
}

}  // namespace

Result<Expired> UpkeepVerbs::Expire(const Caller& caller, bool dry_run, TimeNs now) {
  Expired expired;
  VELAFS_TRY(ExpireBranches(context_, caller, dry_run, now, &expired));
  VELAFS_TRY(ExpireBookmarks(context_, caller, dry_run, now, &expired));
  return expired;
}

}  // namespace velafs::store
