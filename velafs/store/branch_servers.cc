// The servers on a store's branches: which run, their end with the daemon, and which are to start
// with the next one.
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "velafs/store/rules.h"
#include "velafs/store/store.h"
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

}  // namespace

Result<Store::BranchServer> Store::ServerOn(const std::string& name) {
  VELAFS_ASSIGN(const BranchRow row, FindBranch(name));
  return BranchServer{row.instance, servers_.On(row.instance)};
}

Result<std::vector<BranchRow>> Store::BranchesWithServers() {
  const std::vector<InstanceId> lives = servers_.Lives();
  if (lives.empty()) return std::vector<BranchRow>();
  VELAFS_ASSIGN(std::vector<BranchRow> branches, Branches());
  std::erase_if(branches, [&lives](const BranchRow& branch) {
    return std::ranges::find(lives, branch.instance) == lives.end();
  });
  return branches;
}

Status Store::CheckNoServers() {
  const std::optional<ServerRegistry::Process> running = servers_.Any();
  if (!running) return {};
  VELAFS_ASSIGN(const std::vector<BranchRow> branches, BranchesWithServers());
  if (branches.empty()) {
    return Refused(
        "a server runs on a branch that is no more, process " + std::to_string(running->pid),
        "end it first");
  }
  const std::string process =
      branches.size() == 1 ? ", process " + std::to_string(running->pid) : "";
  return Refused(ServersRunOn(branches) + process,
                 branches.size() == 1 ? "stop it first: velapg stop " + branches[0].name
                                      : "stop them first: velapg stop --all");
}

Status Store::StopServers(std::chrono::seconds patience) {
  VELAFS_ASSIGN(const std::vector<BranchRow> branches, BranchesWithServers());
  Status noted = policies_->SetHasRun(branches, true);
  servers_.Stop(servers_.Lives(), {patience, kTimeForImmediateStop});
  for (const BranchRow& branch : branches) {
    const bool has_ended = !servers_.On(branch.instance);
    spdlog::info("the server on {} {}", Quoted(branch.name),
                 has_ended ? "has been stopped" : "does not end");
  }
  return noted;
}

Result<Store::ServersToStart> Store::TakeServersToStart() {
  VELAFS_ASSIGN(std::vector<BranchRow> branches, Branches());
  ServersToStart to_start;
  for (const BranchRow& branch : branches) {
    const std::string policy = policies_->Get("autostart", &branch);
    const bool has_run = policies_->HasRun(branch);
    if (policy == "on" || (policy == "last" && has_run)) {
      to_start.surely.push_back(branch.name);
    } else if (policy == "last") {
      to_start.if_marked.push_back(branch.name);
    }
  }
  std::erase_if(branches, [this](const BranchRow& row) { return !policies_->HasRun(row); });
  VELAFS_TRY(policies_->SetHasRun(branches, false));
  return to_start;
}

Result<std::string> Store::PoolPlace(const Caller& caller) {
  const std::string own = paths_.Run() + "/pools";
  if (caller.uid == geteuid()) return own;
  if (geteuid() != 0) {
    return Refused(
        "only user " + Quoted(UserName(geteuid())) + ", whose store this is, has pools in it",
        "for pools of your own, make a store of your own: velafs --store DIR init");
  }
  const std::string place = own + "-" + std::to_string(caller.uid);
  const Status made = storage_.MakeDirectory(place, 0700);
  if (!made.ok() && made.error_number() != EEXIST) return made;
  constexpr gid_t kAsItIs = static_cast<gid_t>(-1);  // closed to any group
  if (lchown(place.c_str(), caller.uid, kAsItIs) == 0) return place;
  return SystemError(errno, "cannot give \"" + place + "\" to its user");
}

}  // namespace velafs::store
