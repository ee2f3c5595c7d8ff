// Finds links that lead out of a branch and that a server would write through.
#pragma once

#include <string>
#include <vector>

#include "velafs/base/status.h"

namespace velafs::pgctl {

struct OutsideLink {
  std::string name;    // below the data directory, as in "pg_tblspc/16400"
  std::string target;  // as the link has it
};

// The links in `data_dir`, a branch's directory under the mount, that lead out of it, also to a
// missing target: those in pg_tblspc, and those among its own names that a server writes to (base,
// global, pg_wal and the like). In order of name. A link that the caller has no right to follow
// counts as leading out. Fails with the errno if a directory cannot be read.
Result<std::vector<OutsideLink>> FindOutsideLinks(const std::string& data_dir);

// Refused when there are any, naming the first and the command that mends it.
Status CheckNothingLeadsOut(const std::string& data_dir, const std::string& branch);

}  // namespace velafs::pgctl
