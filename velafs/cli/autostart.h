// The servers that start with the daemon, as policy autostart says.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "velafs/cli/command.h"

namespace velafs::cli {

// In what a daemon tells as it goes live.
inline constexpr char kAutostart[] = "autostart";

// Has velapg start them, one after the other, as whoever runs this command: the daemon itself may
// start no program. Says on standard error which did not start. Returns those that did.
std::vector<std::string> StartServers(const Globals& globals, const nlohmann::json& live);

}  // namespace velafs::cli
