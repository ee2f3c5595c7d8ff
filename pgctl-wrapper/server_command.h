// The one place where PostgreSQL's programs are made ready to run on a branch.
#pragma once

#include <string>
#include <vector>

#include "pgctl-wrapper/owner.h"
#include "pgctl-wrapper/process.h"
#include "pgctl-wrapper/server_programs.h"

namespace velafs::pgctl {

// `program` of `programs` as the data's owner, with no PG* variable of the caller's. Borrows
// `owner`.
Command ServerCommand(const ServerPrograms& programs, const Owner& owner,
                      const std::string& program, const std::vector<std::string>& arguments);

}  // namespace velafs::pgctl
