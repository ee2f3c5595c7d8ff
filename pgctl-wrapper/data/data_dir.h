// Checks a data directory before a server starts on it. Call these as the data's owner.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "pgctl-wrapper/config/overrides.h"
#include "pgctl-wrapper/process/owner.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// Refused if the branch's top directory does not belong to the data's owner, as PostgreSQL
// requires. May be called as any user.
Status CheckDirectoryOwner(const std::string& data_dir, const Owner& owner);

// Refused, naming the first directory on the way to `path` that is closed to `owner`. Not while
// acting as anybody.
Status CheckWayTo(const std::string& path, const Owner& owner);

// The hint for users who meet a server that velapg did not start.
std::string HowToReachStranger(const std::string& branch, const std::string& data_dir);

// PostgreSQL refuses a directory that others may write to, or read but for its group. Removes such
// permissions from the branch's top directory, and returns a text about the change; nothing if
// there was none.
Result<std::optional<Override>> MendDirectoryMode(const std::string& data_dir);

// How many replication origins a server is going to load; it stops with a panic if its settings
// allow fewer.
size_t CountReplicationOrigins(const std::string& data_dir);

// A database that no session can be opened in, because this machine lacks its locale.
struct UnusableDatabase {
  std::string name;
  std::string locale;
};
// Read from pg_database's file: changes that a running server has not written yet are not seen.
std::vector<UnusableDatabase> DatabasesWithoutLocale(const std::string& data_dir, int version);
// The same from the content of that file.
std::vector<UnusableDatabase> DatabasesWithoutLocaleIn(std::string_view content, int version);

}  // namespace velafs::pgctl
