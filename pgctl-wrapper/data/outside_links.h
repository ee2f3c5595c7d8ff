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

// Of `data_dir`, a branch's directory under the mount: the links in pg_tblspc, and those among its
// own names that a server writes to (base, global, pg_wal and the like), that lead out of it, also
// to where nothing is yet. In order of name. What the caller's own rights do not let it follow
// counts as leading out. Fails with the errno when a directory cannot be read.
Result<std::vector<OutsideLink>> FindOutsideLinks(const std::string& data_dir);

// Refused when there are any, naming the first and the command that mends it.
Status CheckNothingLeadsOut(const std::string& data_dir, const std::string& branch);

}  // namespace velafs::pgctl
