// `velapg inspect`: asks a server about the content of a branch.
#pragma once

#include "pgctl-wrapper/command/arguments.h"
#include "pgctl-wrapper/command/output.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// Starts a server on a throw-away clone of a branch or bookmark, and prints:
//
//   {"source", "schema": TEXT, "relations": [{"database", "schema", "table", "role", "name",
//    "file", "bytes"}...]}
//
// `schema` is the DDL of all databases and roles, without passwords. `role` is `table`, `index` or
// `toast`: the part of the relation `name` in its table. `file` is its first file, below the data
// directory; `database` is empty for relations that all databases share.
Result<int> Inspect(const Arguments& arguments, const Output& output);

}  // namespace velafs::pgctl
