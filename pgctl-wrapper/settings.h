// A branch's own settings, as its configuration files say them, asked of the server program.
#pragma once

#include <string>
#include <vector>

#include "pgctl-wrapper/overrides.h"
#include "pgctl-wrapper/owner.h"
#include "pgctl-wrapper/server_programs.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// `-D DATA_DIR -c name=value ...`: the arguments that make a server, or a question, one of the
// branch.
std::vector<std::string> ServerArguments(const std::string& data_dir,
                                         const std::vector<Override>& overrides);

// The values of `names`. Fails, with the program's own words as hint, when the configuration cannot
// be read.
Result<Settings> AskSettings(const ServerPrograms& programs, const Owner& owner,
                             const ServerPlaces& places, const std::vector<std::string>& names);

// True when a certificate or key file that `own` names is not there.
bool AreSslFilesMissing(const Settings& own, const std::string& data_dir);

// The preload libraries of `own` that are not installed.
std::vector<std::string> MissingLibraries(const Settings& own, const ServerPrograms& programs);

}  // namespace velafs::pgctl
