// velapg instead of the program `postgres`, as pg_ctlcluster of Debian's postgresql-common
// starts the server of a registered branch (registration.h): "-D DIR --velafs-store=DIR
// --velafs-branch=NAME -c config_file=FILE ...".
#pragma once

#include <string>
#include <vector>

#include "velafs/base/status.h"

namespace velafs::pgctl {

struct StandIn {
  std::string store;
  std::string branch;
};

// True of a command line that is one of `postgres`. `words` are without the program's name.
bool IsStandIn(const std::vector<std::string>& words);
// Refused if it has an option that the branch's server would not get: only the places that
// postgresql-common names are passed by, since velapg has its own.
Result<StandIn> ParseStandIn(const std::vector<std::string>& words);

// Becomes the branch's server, with all that velapg start gives it. Returns only on failure; and,
// in the process that looked after the start, once the server is up.
Status ServeAsPostgres(const std::vector<std::string>& words);

}  // namespace velafs::pgctl
