#include "velafs/store/rules.h"

#include <algorithm>
#include <vector>

#include "velafs/base/name.h"
#include "velafs/base/nearest.h"
#include "velafs/base/text.h"
#include "velafs/store/context.h"

namespace velafs::store {
namespace {

constexpr size_t kMaxNoteBytes = 8 * 1024;
constexpr size_t kMaxOwnerBytes = 255;
constexpr size_t kMaxLabelKeyBytes = 63;
constexpr size_t kMaxLabelValueBytes = 1024;
constexpr size_t kMaxLabels = 64;
constexpr size_t kMaxLabelsBytes = 16 * 1024;

}  // namespace

Status NoBranch(catalog::Reader& reader, const std::string& name) {
  std::vector<std::string> names;
  VELAFS_ASSIGN(const std::vector<catalog::BranchRow> branches, reader.Branches());
  for (const catalog::BranchRow& branch : branches) names.push_back(branch.name);
  VELAFS_ASSIGN(const std::vector<catalog::BranchRow> deleted, reader.DeletedBranches());
  const bool is_deleted =
      std::ranges::find(deleted, name, &catalog::BranchRow::name) != deleted.end();
  return NotFound("there is no branch " + Quoted(name),
                  is_deleted ? "it is in the trash: velafs undelete " + name
                             : DidYouMean(name, names, "`velafs list` shows the branches"));
}

Status CheckMayChange(const Caller& caller, const catalog::BranchRow& branch) {
  if (caller.user == branch.owner || caller.IsAdmin()) return {};
  return Refused("branch " + Quoted(branch.name) + " belongs to " + Quoted(branch.owner),
                 "only " + Quoted(branch.owner) + " and admins may change it");
}

Status CheckNotRunning(StoreContext& context, const catalog::BranchRow& branch) {
  const auto running = context.servers.On(branch.instance);
  if (!running) return {};
  return Refused(
      "a server runs on " + Quoted(branch.name) + ", process " + std::to_string(running->pid),
      "stop it first: velapg stop " + branch.name);
}

Status CheckMayAddBookmark(const Caller& caller, const catalog::BranchRow& branch, size_t count) {
  // Each list of bookmarks has them, and each keeps a layer.
  constexpr size_t kMostOfUser = 1000;
  if (caller.IsAdmin() || count < kMostOfUser) return {};
  return Refused("branch " + Quoted(branch.name) + " has " + std::to_string(count) +
                     " bookmarks; only an admin may make more",
                 "delete some: velafs bookmark delete " + branch.name + "@NAME");
}

bool IsProtected(const catalog::BranchRow& branch, TimeNs now) {
  return branch.is_protected && (!branch.protected_until || *branch.protected_until > now);
}

Status CheckNotProtected(const catalog::BranchRow& branch) {
  if (!IsProtected(branch, NowNs())) return {};
  return Refused("branch " + Quoted(branch.name) + " is protected",
                 "remove the protection first: velafs unprotect " + branch.name);
}

Status CheckMayPromoteOnto(const catalog::BranchRow& branch) {
  return branch.protected_until == catalog::kProtectedAsSource ? Status()
                                                               : CheckNotProtected(branch);
}

void TakeRights(const Caller& caller, const catalog::BranchRow& origin,
                catalog::BranchRow* branch) {
  if (!branch->shown_as && !caller.IsAdmin()) branch->shown_as = origin.shown_as;
}

Status CheckNote(const std::string& note) { return CheckText("the note", note, kMaxNoteBytes); }

Status CheckOwner(const std::string& owner) {
  if (owner.empty()) return UsageError("the name of the owner is empty");
  return CheckWord("the name of the owner", owner, kMaxOwnerBytes);
}

Status CheckLabel(const std::string& key, const std::string& value) {
  VELAFS_TRY(CheckWord("the key of a label", key, kMaxLabelKeyBytes));
  VELAFS_TRY(CheckWord("label " + Quoted(key), value, kMaxLabelValueBytes));
  if (key == "pool") VELAFS_TRY(CheckName("pool", value));
  // The command line tells labels to set from those to remove by these.
  if (!key.empty() && key.find('=') == std::string::npos && key.back() != '-') return {};
  return UsageError(Quoted(key) + " is not the key of a label",
                    "a key is not empty, has no \"=\" and does not end in \"-\"");
}

Status CheckLabels(const std::map<std::string, std::string>& labels) {
  size_t bytes = 0;
  for (const auto& [key, value] : labels) bytes += key.size() + value.size();
  const std::string hint = "remove some: velafs label BRANCH KEY-";
  if (labels.size() > kMaxLabels) {
    return UsageError("a branch has at most " + std::to_string(kMaxLabels) + " labels", hint);
  }
  if (bytes <= kMaxLabelsBytes) return {};
  return UsageError(
      "the labels of a branch are longer than " + std::to_string(kMaxLabelsBytes) + " bytes in all",
      hint);
}

void LeavePool(catalog::BranchRow* branch) {
  std::erase_if(branch->labels, [](const auto& label) {
    return label.first == "pool" || label.first.starts_with("pool-");
  });
}

Result<std::optional<TimeNs>> TimeAfter(TimeNs now, std::optional<std::chrono::seconds> duration) {
  if (!duration) return std::optional<TimeNs>();
  const auto seconds = duration->count();
  constexpr TimeNs kNsPerSecond = 1'000'000'000;
  if (seconds <= 0 || seconds > (INT64_MAX - now) / kNsPerSecond) {
    return UsageError("a duration of " + std::to_string(seconds) + " seconds is out of range");
  }
  return std::optional<TimeNs>(now + seconds * kNsPerSecond);
}

}  // namespace velafs::store
