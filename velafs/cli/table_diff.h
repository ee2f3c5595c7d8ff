// Maps the files that differ between two branches to tables.
#pragma once

#include <nlohmann/json.hpp>

namespace velafs::cli {

// `diff` as the verb gives it; `a` and `b` as `velapg inspect --relations` gives them. One row for
// each table with a file that differs, its indexes and TOAST table included, the largest change
// first; the catalogs' tables of a database are one. The last row, with no `table`, is of all other
// files:
//
//   {"database", "schema", "table", "bytes_changed", "pages_changed", "bytes" (now; null of the
//    last), "indexes" (how many of them differ), "table_bytes", "index_bytes", "toast_bytes" (of
//    bytes_changed)}
nlohmann::json TablesOf(const nlohmann::json& diff, const nlohmann::json& a,
                        const nlohmann::json& b);

}  // namespace velafs::cli
