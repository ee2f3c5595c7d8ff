// Parses the files of `velafs policy apply`.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "velafs/base/status.h"

namespace velafs::cli {

// The places of a TOML text, in the form of verb "policy-apply": table `store`, and tables
// `source.NAME` and `branch.NAME`, each of policies; true and false stand for on and off. `name` is
// the text's name in messages. Usage, with the line, if it is not such a text.
Result<nlohmann::json> ParsePolicies(const std::string& text, const std::string& name);

}  // namespace velafs::cli
