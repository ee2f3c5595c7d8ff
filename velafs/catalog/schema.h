// The catalog's tables, and how a database is recognised as a catalog. FORMAT.md explains each
// column.
#pragma once

#include <cstdint>

#include "velafs/base/status.h"
#include "velafs/sql/database.h"

namespace velafs::catalog {

// How long a connection waits while another one writes.
inline constexpr int kBusyTimeoutMs = 5000;

// "VELA", in SQLite's header field for the kind of file.
inline constexpr int64_t kApplicationId = 0x56454C41;

// Fills an empty database: tables, first sequence numbers, schema version.
Status CreateSchema(sql::Database& database);

// Corrupt unless the database is a catalog; Failed, in words, if its schema is of a later version.
Status CheckSchema(sql::Database& database);

// Brings a database that passed CheckSchema to this schema version, in one transaction. Returns
// whether it changed anything; then foreign keys are off on return.
Result<bool> MigrateSchema(sql::Database& database);

}  // namespace velafs::catalog
