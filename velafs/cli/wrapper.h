// velapg, for what takes a server.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "velafs/cli/command.h"

namespace velafs::cli {

// Runs velapg, which lies beside this program or in $PATH, on the same store with these words;
// returns the JSON document it prints. Its failure is this one's.
Result<nlohmann::json> CallVelapg(const Globals& globals, const std::vector<std::string>& words);

// Has the server that runs on a branch, if one does, write a checkpoint.
Status Checkpoint(const Globals& globals, const std::string& branch);

}  // namespace velafs::cli
