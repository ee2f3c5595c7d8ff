// With whose rights a PGDATA of the host is read.
#pragma once

#include <string>

#include "velafs/store/caller.h"
#include "velafs/store/import/source.h"

namespace velafs::store {

// FindSource with the rights of `options.read_as`, a user; of "" with the caller's, but root's, who
// may read all: then with those of the user who owns the directory, who could have put links and
// hard links there to what others may not read. Refused if another than root names a user that is
// not himself. If the owner's rights do not suffice, the hint says how to allow more. Likewise with
// the directory of the configuration, if `options` name one: with the rights of that one's owner.
Result<Source> FindSourceFor(const Caller& caller, const std::string& directory,
                             const std::string& keep_out, const ImportOptions& options);

// Whose rights those are for the directory of a configuration that the caller names.
Result<ConfigReader> ReaderOf(const Caller& caller, const std::string& directory);

}  // namespace velafs::store
