// Warnings for the user after a server has started.
#pragma once

#include <string>
#include <vector>

#include "pgctl-wrapper/config/overrides.h"
#include "pgctl-wrapper/server/server.h"
#include "pgctl-wrapper/server/server_group.h"

namespace velafs::pgctl {

// Which preload libraries were left out, why, and how to have them; and those that run workers
// nobody knows. `branch`: whose policy would have them.
void WarnOfLibraries(const ServerFacts& facts, const std::string& branch,
                     std::vector<std::string>* warnings);

// A server that may end along with a service that is not its own.
void WarnOfGroup(const ServerGroup& group, std::vector<std::string>* warnings);

// Warns of remaining ways out of the branch, and, at the first start in the branch's life, of
// things that came with its data. Call it as the data's owner.
void WarnOfData(const ServerFacts& facts, const StartOptions& options, bool is_first,
                std::vector<std::string>* warnings);

}  // namespace velafs::pgctl
