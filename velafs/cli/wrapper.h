// Runs velapg for commands that need a server.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "velafs/cli/command.h"

namespace velafs::cli {

// Runs velapg, from this program's directory or $PATH, on the same store with these words. Returns
// the JSON document that it prints, or its failure.
Result<nlohmann::json> CallVelapg(const Globals& globals, const std::vector<std::string>& words);

// Makes the branch's server, if it runs, write a checkpoint.
Status Checkpoint(const Globals& globals, const std::string& branch);

}  // namespace velafs::cli
