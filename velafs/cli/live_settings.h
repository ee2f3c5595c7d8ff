// The settings that a daemon reads at its start, and again at a reload.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "velafs/base/status.h"
#include "velafs/cli/settings.h"
#include "velafs/store/caller.h"

namespace velafs::store {
class Store;
}  // namespace velafs::store

namespace velafs::cli {

struct LiveSettings {
  std::string log_level = "info";  // a name of the configuration's: "debug", "warning" ...
  nlohmann::json places = nlohmann::json::array();  // of policy_file; as verb "policy-apply" has it
  std::map<std::string, std::string> of_store;      // policies of the store, from [users]
};

// Reads the file of policies, too.
Result<LiveSettings> ReadLiveSettings(const Settings& settings);

// Sets the policies that differ from these settings, as changes by the daemon's own user.
Status ApplyPolicies(store::Store& store, const store::Caller& self, const LiveSettings& settings);

}  // namespace velafs::cli
