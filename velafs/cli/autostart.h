// The servers that start with the daemon, as policy autostart says.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "velafs/cli/command.h"

namespace velafs::cli {

// In the daemon's message that it is live.
inline constexpr char kAutostart[] = "autostart";

// Runs velapg to start them, one after the other, as the user of this command: the daemon itself
// may start no program. Names on standard error those that did not start. Returns those that did.
std::vector<std::string> StartServers(const Globals& globals, const nlohmann::json& live);

}  // namespace velafs::cli
