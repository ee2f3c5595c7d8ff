// The tablespaces of a branch as its files have them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/layer/branch.h"
#include "velafs/os/acting_as.h"
#include "velafs/store/verb_types.h"

namespace velafs::store {

// By name.
Result<std::vector<Tablespace>> ListTablespaces(layer::Branch& branch);
// The directory that a link of pg_tblspc leads to, if that is where earlier versions put it;
// nothing for any other target.
Result<std::optional<layer::Attributes>> OldTablespace(layer::Branch& branch,
                                                       const std::string& target);
// Who owns the branch's data, as those who use it see it.
Result<os::Credentials> DataOwner(layer::Branch& branch);

// Replaces the link, which leads to the place used by earlier versions, by the directory. Durable
// on return. A crash in between leaves the old state or the new one.
Status ReplaceOldLink(layer::Branch& branch, const std::string& oid);
// Has the branch's postgresql.auto.conf allow directories in pg_tblspc, if it has that file.
Status AllowInPlace(layer::Branch& branch);
// Copies the PG_* directories of the host's directory `from`, read with the rights of `reader` and
// through no symbolic link, to where earlier versions put that tablespace; then ReplaceOldLink does
// the rest. Failed if a file changes meanwhile. Durable on return.
Status CopyOldTablespace(layer::Branch& branch, const std::string& oid, const std::string& from,
                         const os::Credentials& reader);

}  // namespace velafs::store
