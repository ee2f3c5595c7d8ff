#include "velafs/store/branch_verbs.h"

#include <algorithm>

#include "velafs/layer/volume.h"
#include "velafs/store/context.h"
#include "velafs/store/describe.h"
#include "velafs/store/govern/limits.h"
#include "velafs/store/lookup.h"
#include "velafs/store/rules.h"

namespace velafs::store {
namespace {

using catalog::BranchRow;

Status RunRename(StoreContext& context, const Caller& caller, const std::string& name,
                 const std::string& new_name) {
  WriterLock lock(context.verbs_mutex);
  VELAFS_ASSIGN(const BranchRow branch, FindBranch(context, name));
  VELAFS_TRY(CheckMayChange(caller, branch));
  VELAFS_TRY(CheckNotRunning(context, branch));
  VELAFS_TRY(CheckNameIsFree(context, new_name));
  VELAFS_TRY(CheckNamePolicy(context, new_name, branch));
  return context.volume->Rename(name, new_name);
}

}  // namespace

Result<BranchInfo> BranchVerbs::Rename(const Caller& caller, const std::string& name,
                                       const std::string& new_name) {
  VELAFS_TRY(CheckName("branch", new_name));
  VELAFS_TRY(RunRename(context_, caller, name, new_name)
                 .WithContext("cannot rename " + Quoted(name) + " to " + Quoted(new_name)));
  context_.mount.TellRemoved(name);
  context_.mount.TellAdded(new_name);
  return ShowBranch(context_, new_name);
}

Result<BranchInfo> BranchVerbs::Show(const std::string& name) { return ShowBranch(context_, name); }

Result<std::vector<BranchInfo>> BranchVerbs::List(const ListFilter& filter) {
  VELAFS_ASSIGN(std::vector<BranchRow> rows, Branches(context_));
  std::erase_if(rows, [&](const BranchRow& row) {
    if (filter.owner && row.owner != *filter.owner) return true;
    const bool is_running = context_.servers.On(row.instance).has_value();
    if (filter.state && (*filter.state == BranchState::kRunning) != is_running) return true;
    return !std::ranges::all_of(filter.labels, [&row](const auto& label) {
      const auto found = row.labels.find(label.first);
      return found != row.labels.end() && found->second == label.second;
    });
  });
  return DescribeAll(context_, rows);
}

Result<std::vector<std::string>> BranchVerbs::Names() {
  VELAFS_ASSIGN(const std::vector<BranchRow> rows, Branches(context_));
  std::vector<std::string> names;
  for (const BranchRow& row : rows) names.push_back(row.name);
  return names;
}

Result<std::map<uint64_t, uint64_t>> BranchVerbs::CloneCounts() {
  std::map<uint64_t, uint64_t> counts;
  VELAFS_ASSIGN(const std::vector<BranchRow> rows, Branches(context_));
  for (const BranchRow& row : rows) {
    if (row.parent) ++counts[row.parent.value];
  }
  return counts;
}

}  // namespace velafs::store
