// With whose rights a PGDATA of the host is read.
#pragma once

#include <string>

#include "velafs/store/caller.h"
#include "velafs/store/import/source.h"

namespace velafs::store {

// FindSource with the rights of user `options.read_as`. If that is "", with the caller's rights,
// or, if root calls, with those of the directory's owner, who could have put links and hard links
// there to files that it may not read. Refused if a caller other than root names another user.
// If the owner's rights do not suffice, the hint tells how to allow more. The directory of the
// configuration, if `options` name one, is read with the rights of its owner in the same way.
Result<Source> FindSourceFor(const Caller& caller, const std::string& directory,
                             const std::string& keep_out, const ImportOptions& options);

// Whose rights those are for the directory of a configuration that the caller names.
Result<ConfigReader> ReaderOf(const Caller& caller, const std::string& directory);

}  // namespace velafs::store
