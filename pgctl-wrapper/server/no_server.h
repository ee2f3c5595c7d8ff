// What velapg prints in the place of a server's URL or variables when it fails. Nothing would have
// a client, as in psql "$(velapg url pr-42)", take its default server for the branch's.
#pragma once

#include <string>
#include <vector>

namespace velafs::pgctl {

// For a command line, without the program's name, that failed: a URL that leads nowhere, or shell
// commands that set one and fail. Empty if the command prints no server, or one JSON document.
std::string TextWithoutServer(const std::vector<std::string>& words);

}  // namespace velafs::pgctl
