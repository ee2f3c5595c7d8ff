// Whether a PostgreSQL server runs on a directory that is not a branch: one to be imported.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace velafs::store {

// The server that runs on the data directory, in whatever namespaces, as far as this process may
// see it. A process named in postmaster.pid that is of the directory's owner and cannot be looked
// at counts, one of anybody else's does not: PostgreSQL runs on its own user's data only.
std::optional<pid_t> ServerRunningOn(const std::string& directory);

}  // namespace velafs::store
