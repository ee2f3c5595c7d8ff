// What a daemon takes from its configuration at its start, and again when it is told to reload it.
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

// Sets what these settings say of policies, and nothing where it is so already. They are the
// daemon's own user's changes.
Status ApplyPolicies(store::Store& store, const store::Caller& self, const LiveSettings& settings);

}  // namespace velafs::cli
