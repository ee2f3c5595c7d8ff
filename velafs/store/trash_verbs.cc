#include "velafs/store/trash_verbs.h"

#include <algorithm>
#include <iterator>

#include "velafs/catalog/catalog.h"
#include "velafs/layer/volume.h"
#include "velafs/store/context.h"
#include "velafs/store/describe.h"
#include "velafs/store/govern/limits.h"
#include "velafs/store/govern/policies.h"
#include "velafs/store/lookup.h"
#include "velafs/store/removal.h"
#include "velafs/store/rules.h"
#include "velafs/store/states.h"

namespace velafs::store {
namespace {

using catalog::BranchRow;

Status RunUndelete(StoreContext& context, const Caller& caller, const std::string& name,
                   const std::string& new_name) {
  WriterLock lock(context.verbs_mutex);
  VELAFS_ASSIGN(std::vector<BranchRow> deleted,
                context.catalog->Read(&catalog::Reader::DeletedBranches));
  // What others have deleted under that name since is in no way.
  const auto is_named = [&name](const BranchRow& row) { return row.name == name; };
  auto found = std::ranges::find_if(deleted, [&](const BranchRow& row) {
    return is_named(row) && CheckMayChange(caller, row).ok();
  });
  if (found == deleted.end()) found = std::ranges::find_if(deleted, is_named);
  if (found == deleted.end()) {
    return NotFound("there is no branch " + Quoted(name) + " in the trash",
                    "`velafs list --trash` shows the trash");
  }
  BranchRow row = std::move(*found);
  VELAFS_TRY(CheckMayChange(caller, row));
  if (Status free = CheckNameIsFree(context, new_name); !free.ok()) {
    if (free.code() != Code::kExists) return free;
    return std::move(free).WithHint("bring it back under another name: --as NEW");
  }
  VELAFS_TRY(CheckBranchPolicies(context, row.owner, row));
  row.name = new_name;
  row.deleted_at.reset();
  if (row.expires_at && *row.expires_at <= NowNs()) row.expires_at.reset();
  return context.WriteDurably([&row](catalog::Writer& writer) -> Status {
    VELAFS_ASSIGN(const std::vector<BranchRow> branches, writer.Branches());
    if (std::ranges::any_of(branches, [&row](const BranchRow& b) { return b.port == row.port; })) {
      row.port.reset();
    }
    VELAFS_ASSIGN(row.instance, writer.ReserveInstance());
    return writer.UpdateBranch(row);
  });
}

Result<Purged> RunPurge(StoreContext& context, const Caller& caller,
                        std::optional<TimeNs> deleted_before, bool dry_run) {
  WriterLock lock(context.verbs_mutex);
  VELAFS_ASSIGN(std::vector<BranchRow> rows,
                context.catalog->Read(&catalog::Reader::DeletedBranches));
  std::erase_if(rows, [&](const BranchRow& row) {
    return !CheckMayChange(caller, row).ok() ||
           (deleted_before && *row.deleted_at > *deleted_before);
  });
  Purged purged;
  VELAFS_ASSIGN(purged.branches, DescribeAll(context, rows));
  if (dry_run) {
    for (const BranchInfo& branch : purged.branches) purged.freed_bytes += branch.own_bytes;
    return purged;
  }
  for (const BranchRow& row : rows) {
    VELAFS_ASSIGN(const uint64_t freed,
                  context.volume->RemoveLayers(
                      [&row](catalog::Writer& writer) { return RemoveForGood(writer, row); }));
    context.policies->Forget(PolicyPlace::OfBranch(row));
    purged.freed_bytes += freed;
  }
  return purged;
}

}  // namespace

Result<BranchInfo> TrashVerbs::Delete(const Caller& caller, const std::string& name,
                                      const DeleteOptions& options) {
  return std::move(DeleteBatch(caller, std::span(&name, 1), options).front());
}

std::vector<Result<BranchInfo>> TrashVerbs::DeleteAll(const Caller& caller,
                                                      std::span<const std::string> names,
                                                      const DeleteOptions& options) {
  constexpr size_t kBatch = 64;  // for which other verbs wait
  std::vector<Result<BranchInfo>> all;
  all.reserve(names.size());
  while (!names.empty()) {
    const size_t count = std::min(names.size(), kBatch);
    std::ranges::move(DeleteBatch(caller, names.first(count), options), std::back_inserter(all));
    names = names.subspan(count);
  }
  return all;
}

std::vector<Result<BranchInfo>> TrashVerbs::DeleteBatch(const Caller& caller,
                                                        std::span<const std::string> names,
                                                        const DeleteOptions& options) {
  if (!options.purge && !options.dry_run) {
    for (const std::string& name : names) TrySyncAhead(context_, caller, name);
  }
  std::vector<Result<BranchInfo>> outcomes;
  std::vector<DeletedBranch> deleted;
  Status finished;
  {
    WriterLock lock(context_.verbs_mutex);
    for (const std::string& name : names) {
      Result<DeletedBranch> one = CommitDelete(context_, caller, name, options);
      if (one.ok()) {
        outcomes.emplace_back(one->info);
        deleted.push_back(*std::move(one));
      } else {
        outcomes.emplace_back(std::move(one).status().WithContext("cannot delete " + Quoted(name)));
      }
    }
    if (options.dry_run) return outcomes;
    finished = FinishDeletes(context_, deleted);
  }
  if (!finished.ok()) {
    for (Result<BranchInfo>& outcome : outcomes) {
      if (outcome.ok())
        outcome = Status(finished).WithContext("cannot delete " + Quoted(outcome->name));
    }
    return outcomes;
  }
  for (const DeletedBranch& branch : deleted) context_.mount.TellRemoved(branch.row.name);
  if (!deleted.empty()) RemoveWhatIsGone(context_.storage, context_.paths.Run());
  for (const DeletedBranch& branch : deleted) {
    RemoveServerPlaces(context_.paths.root, branch.info.id, branch.info.instance);
  }
  return outcomes;
}

Result<BranchInfo> TrashVerbs::Undelete(const Caller& caller, const std::string& name,
                                        const std::optional<std::string>& new_name) {
  const std::string back_as = new_name.value_or(name);
  VELAFS_TRY(CheckName("branch", back_as));
  VELAFS_TRY(
      RunUndelete(context_, caller, name, back_as).WithContext("cannot undelete " + Quoted(name)));
  context_.mount.TellAdded(back_as);
  return ShowBranch(context_, back_as);
}

Result<std::vector<BranchInfo>> TrashVerbs::List() {
  VELAFS_ASSIGN(std::vector<BranchRow> rows,
                context_.catalog->Read(&catalog::Reader::DeletedBranches));
  return DescribeAll(context_, rows);
}

Result<Purged> TrashVerbs::Purge(const Caller& caller,
                                 std::optional<std::chrono::seconds> older_than, bool dry_run) {
  std::optional<TimeNs> deleted_before;
  if (older_than) {
    const TimeNs now = NowNs();
    VELAFS_ASSIGN(const auto later, TimeAfter(now, older_than));
    deleted_before = now - (*later - now);
  }
  Result<Purged> purged = RunPurge(context_, caller, deleted_before, dry_run);
  if (purged.ok()) return purged;
  return std::move(purged).status().WithContext("cannot empty the trash");
}

}  // namespace velafs::store
