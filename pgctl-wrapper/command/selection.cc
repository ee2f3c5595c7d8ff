#include "pgctl-wrapper/command/selection.h"

#include <unistd.h>

#include <algorithm>
#include <optional>

#include "pgctl-wrapper/process/owner.h"
#include "pgctl-wrapper/server/postmaster.h"
#include "pgctl-wrapper/server/run_dir.h"
#include "velafs/base/name.h"

namespace velafs::pgctl {
namespace {

bool Matches(const Branch& branch, const std::vector<std::string>& words) {
  if (words.empty()) return true;
  return std::ranges::any_of(words, [&branch](const std::string& word) {
    return IsNamePattern(word) && MatchesName(word, branch.name);
  });
}

// What is another user's, others leave alone, unless they name it.
bool MayActOn(const Branch& branch) {
  if (geteuid() == 0 || branch.data_dir.empty()) return true;
  const Result<Owner> owner = OwnerOfData(branch.data_dir);
  return owner.ok() && owner->uid == geteuid();
}

}  // namespace

bool IsOneBranch(const Arguments& arguments) {
  return arguments.branches.size() == 1 && arguments.labels.empty() &&
         !IsNamePattern(arguments.branches.front());
}

std::optional<pid_t> FindOrphan(const Session& session, const Branch& branch) {
  const std::string socket_dir = FindRunDir(session.store(), branch.id).socket_dir;
  const std::optional<Owner> owner = OwnerOfDirectory(socket_dir);
  if (!owner || !CheckMayActAs(*owner, branch.name).ok()) return std::nullopt;
  const ActingAs acting(*owner);
  const std::optional<RunningServer> lost = FindLostServer(socket_dir);
  return lost ? std::optional(lost->file.pid) : std::nullopt;
}

Result<std::vector<Branch>> SelectBranches(Session& session, const Arguments& arguments) {
  nlohmann::json filter = nlohmann::json::object();
  if (!arguments.labels.empty()) filter["labels"] = arguments.labels;
  VELAFS_ASSIGN(const std::vector<Branch> listed, session.List(filter));
  std::vector<Branch> selected;
  for (const std::string& word : arguments.branches) {
    if (IsNamePattern(word)) continue;
    VELAFS_ASSIGN(Branch branch, session.Find(word));
    selected.push_back(std::move(branch));
  }
  for (const Branch& branch : listed) {
    const bool is_named = std::ranges::find(selected, branch.name, &Branch::name) != selected.end();
    if (is_named || !Matches(branch, arguments.branches) || !MayActOn(branch)) continue;
    if (branch.server_pid || FindOrphan(session, branch)) selected.push_back(branch);
  }
  return selected;
}

}  // namespace velafs::pgctl
