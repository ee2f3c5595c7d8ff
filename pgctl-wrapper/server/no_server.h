// The output of velapg instead of a server's URL or variables if it fails. Without output, a
// client, as in psql "$(velapg url pr-42)", would connect to its default server.
#pragma once

#include <string>
#include <vector>

namespace velafs::pgctl {

// For a command line, without the program's name, that failed: a URL that leads nowhere, or shell
// commands that set one and fail. Empty if the command prints no server, or one JSON document.
std::string TextWithoutServer(const std::vector<std::string>& words);

}  // namespace velafs::pgctl
