#include "pgctl-wrapper/server/stand_in.h"

#include <algorithm>
#include <string_view>

#include "pgctl-wrapper/command/arguments.h"
#include "pgctl-wrapper/command/commands.h"
#include "pgctl-wrapper/command/output.h"

namespace velafs::pgctl {
namespace {

constexpr std::string_view kStore = "--velafs-store=";
constexpr std::string_view kBranch = "--velafs-branch=";
constexpr std::string_view kPlaces[] = {"config_file", "hba_file", "ident_file",
                                        "external_pid_file", "unix_socket_directories"};

Status NotForBranches(const std::string& word) {
  return Refused("option \"" + word + "\" is not for the server of a branch",
                 "change settings with ALTER SYSTEM, or use velapg start");
}

}  // namespace

bool IsStandIn(const std::vector<std::string>& words) {
  return words.size() > 2 && words[0] == "-D" &&
         std::ranges::any_of(words, [](const auto& word) { return word.starts_with(kBranch); });
}

Result<StandIn> ParseStandIn(const std::vector<std::string>& words) {
  StandIn found;
  for (size_t i = 2; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word.starts_with(kStore)) {
      found.store = word.substr(kStore.size());
    } else if (word.starts_with(kBranch)) {
      found.branch = word.substr(kBranch.size());
    } else if (word == "-c" && i + 1 < words.size()) {
      const std::string setting = words[i + 1].substr(0, words[i + 1].find('='));
      if (std::ranges::find(kPlaces, setting) == std::end(kPlaces)) return NotForBranches(setting);
      ++i;
    } else {
      return NotForBranches(word);
    }
  }
  if (!found.store.empty() && !found.branch.empty()) return found;
  return UsageError("the store or the branch is not named", "register the branch again");
}

Status ServeAsPostgres(const std::vector<std::string>& words) {
  VELAFS_ASSIGN(const StandIn wanted, ParseStandIn(words));
  VELAFS_ASSIGN(const Arguments arguments,
                ParseArguments({"--store", wanted.store, "--quiet", "start", wanted.branch}));
  VELAFS_ASSIGN(Session session, Session::Open(arguments.store));
  VELAFS_ASSIGN(const Target target, OpenTarget(session, arguments.branch));
  StartControl control;
  control.takes_over = true;
  const Output output(/*as_json=*/false, /*quiet=*/true);
  return StartTarget(session, target, arguments, std::nullopt, output, control).status();
}

}  // namespace velafs::pgctl
