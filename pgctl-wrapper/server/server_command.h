// The one place where PostgreSQL's programs are made ready to run on a branch.
#pragma once

#include <string>
#include <vector>

#include "pgctl-wrapper/process/isolation.h"
#include "pgctl-wrapper/process/owner.h"
#include "pgctl-wrapper/process/process.h"
#include "pgctl-wrapper/server/server_programs.h"

namespace velafs::pgctl {

// The programs to run on a branch, their user and their place. Borrows everything that it refers
// to.
struct ServerHome {
  const ServerPrograms& programs;
  const Owner& owner;
  const Isolation* isolation = nullptr;  // null: where the caller is
};

// `program` at home, with no PG* variable of the caller's. Borrows what `home` does.
Command ServerCommand(const ServerHome& home, const std::string& program,
                      const std::vector<std::string>& arguments);

}  // namespace velafs::pgctl
