// Asks the server program for a branch's own settings.
#pragma once

#include <string>
#include <vector>

#include "pgctl-wrapper/config/overrides.h"
#include "pgctl-wrapper/server/server_command.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// `-D DATA_DIR -c name=value ...`: the arguments that make a server, or a question, one of the
// branch.
std::vector<std::string> ServerArguments(const std::string& data_dir,
                                         const std::vector<Override>& overrides);

// Those of `names` that configuration files with these texts may set; the others have their
// built-in default. Any line with the name counts unless it is a comment; a file that includes
// another may set all. The files of SSL matter as soon as SSL does, set or not.
std::vector<std::string> MentionedSettings(const std::vector<std::string>& config_texts,
                                           const std::vector<std::string>& names);

struct Answers {
  Settings values;
  std::string complaints;  // the program's own words if it refuses the configuration; else empty
};

// The values of those of `names` that may differ from the built-in default.
Result<Answers> AskSettings(const ServerHome& home, const ServerPlaces& places,
                            const std::vector<std::string>& names,
                            const CaptureLimits& limits = {});

}  // namespace velafs::pgctl
