// PostgreSQL's major version, as a data directory and a server program tell it. A plain int:
// 10, 15.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "velafs/base/status.h"

namespace velafs::pgctl {

// The content of a PG_VERSION file. Fails if it is not a version, or older than 10, the first
// version whose postmaster.pid tells when the server is ready.
Result<int> ParsePgVersion(std::string_view content);

// The output of `postgres -V`, as in "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
std::optional<int> ParseServerBanner(std::string_view banner);

// Reads DATA_DIR/PG_VERSION.
Result<int> ReadPgVersion(const std::string& data_dir);

}  // namespace velafs::pgctl
