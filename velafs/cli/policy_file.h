// Parses the files of `velafs policy apply`.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "velafs/base/status.h"

namespace velafs::cli {

// The places of a TOML text, as verb "policy-apply" takes them: table `store`, and tables
// `source.NAME` and `branch.NAME`, each of policies; true and false stand for on and off. `name` is
// what messages call the text. Usage, with the line, when it is none.
Result<nlohmann::json> ParsePolicies(const std::string& text, const std::string& name);

}  // namespace velafs::cli
