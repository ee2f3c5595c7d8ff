// How two texts of DDL differ.
#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "velafs/base/status.h"
#include "velafs/cli/style.h"

namespace velafs::cli {

// A unified diff, by the program diff; empty if they are equal. The schema is that of pg_dumpall,
// without its lines on these databases.
std::string WithoutDatabases(const std::string& schema, const std::set<std::string>& databases);

Result<std::string> SchemaDiff(const std::string& name_a, const std::string& schema_a,
                               const std::string& name_b, const std::string& schema_b);

// Of {"equal","diff"}.
std::string RenderSchemaDiff(const nlohmann::json& schema, const Style& style);

}  // namespace velafs::cli
