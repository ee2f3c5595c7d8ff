// Normalises schemas that pg_dump and pg_dumpall print.
#pragma once

#include <string>

namespace velafs::pgctl {

// The dump without the lines `\restrict KEY` and `\unrestrict KEY`: the programs draw a new key for
// each dump, so two dumps of one schema would differ. Text of the schema that only looks similar
// stays.
std::string WithoutRestrictKeys(const std::string& dump);

}  // namespace velafs::pgctl
