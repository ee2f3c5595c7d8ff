#include "velafs/store/server_verbs.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "velafs/store/context.h"
#include "velafs/store/govern/policies.h"
#include "velafs/store/lookup.h"
#include "velafs/store/rules.h"
#include "velafs/store/users.h"

namespace velafs::store {
namespace {

using catalog::BranchRow;

constexpr std::chrono::seconds kTimeForImmediateStop{10};

constexpr size_t kMostNamed = 5;

// "a server runs on "a", on "b" ...".
std::string ServersRunOn(const std::vector<BranchRow>& branches) {
  std::string names;
  for (const BranchRow& branch : branches) {
    if (&branch - branches.data() == kMostNamed) return "a server runs " + names + " ...";
    names += (names.empty() ? "on " : ", on ") + Quoted(branch.name);
  }
  return "a server runs " + names;
}

Result<std::vector<BranchRow>> BranchesWithServers(StoreContext& context) {
  const std::vector<InstanceId> lives = context.servers.Lives();
  if (lives.empty()) return std::vector<BranchRow>();
  VELAFS_ASSIGN(std::vector<BranchRow> branches, Branches(context));
  std::erase_if(branches, [&lives](const BranchRow& branch) {
    return std::ranges::find(lives, branch.instance) == lives.end();
  });
  return branches;
}

}  // namespace

Result<BranchServer> ServerVerbs::On(const std::string& name) {
  VELAFS_ASSIGN(const BranchRow row, FindBranch(context_, name));
  return BranchServer{row.instance, context_.servers.On(row.instance)};
}

Status ServerVerbs::CheckNoServers() {
  const std::optional<ServerRegistry::Process> running = context_.servers.Any();
  if (!running) return {};
  VELAFS_ASSIGN(const std::vector<BranchRow> branches, BranchesWithServers(context_));
  if (branches.empty()) {
    return Refused("a server runs on a deleted branch, process " + std::to_string(running->pid),
                   "end it first");
  }
  const std::string process =
      branches.size() == 1 ? ", process " + std::to_string(running->pid) : "";
  return Refused(ServersRunOn(branches) + process,
                 branches.size() == 1 ? "stop it first: velapg stop " + branches[0].name
                                      : "stop them first: velapg stop --all");
}

Status ServerVerbs::StopAll(std::chrono::seconds patience) {
  VELAFS_ASSIGN(const std::vector<BranchRow> branches, BranchesWithServers(context_));
  Status noted = context_.policies->SetHasRun(branches, true);
  context_.servers.Stop(context_.servers.Lives(), {patience, kTimeForImmediateStop});
  for (const BranchRow& branch : branches) {
    const bool has_ended = !context_.servers.On(branch.instance);
    spdlog::info("the server on {} {}", Quoted(branch.name),
                 has_ended ? "has been stopped" : "does not end");
  }
  return noted;
}

Result<ServersToStart> ServerVerbs::TakeServersToStart() {
  VELAFS_ASSIGN(std::vector<BranchRow> branches, Branches(context_));
  ServersToStart to_start;
  for (const BranchRow& branch : branches) {
    const std::string policy = context_.policies->Get("autostart", &branch);
    const bool has_run = context_.policies->HasRun(branch);
    if (policy == "on" || (policy == "last" && has_run)) {
      to_start.surely.push_back(branch.name);
    } else if (policy == "last") {
      to_start.if_marked.push_back(branch.name);
    }
  }
  std::erase_if(branches, [this](const BranchRow& row) { return !context_.policies->HasRun(row); });
  VELAFS_TRY(context_.policies->SetHasRun(branches, false));
  return to_start;
}

Result<std::string> ServerVerbs::PoolPlace(const Caller& caller) {
  const std::string own = context_.paths.Run() + "/pools";
  if (caller.uid == geteuid()) return own;
  if (geteuid() != 0) {
    return Refused(
        "only user " + Quoted(UserName(geteuid())) + ", whose store this is, has pools in it",
        "for pools of your own, make a store of your own: velafs --store DIR init");
  }
  const std::string place = own + "-" + std::to_string(caller.uid);
  const Status made = context_.storage.MakeDirectory(place, 0700);
  if (!made.ok() && made.error_number() != EEXIST) return made;
  constexpr gid_t kAsItIs = static_cast<gid_t>(-1);  // closed to any group
  if (lchown(place.c_str(), caller.uid, kAsItIs) == 0) return place;
  return SystemError(errno, "cannot give \"" + place + "\" to its user");
}

}  // namespace velafs::store
