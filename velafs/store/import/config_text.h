// The text of a postgresql.conf, as far as an import has to understand it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace velafs::store {

struct ConfigLine {
  std::string name;   // in lower case
  std::string value;  // without quotes
};

// What its lines set, includes among them, in order. Lines that are none are left out.
std::vector<ConfigLine> ParseConfig(std::string_view text);
// What the last line of that name says; "" when none does.
std::string ValueIn(const std::vector<ConfigLine>& lines, std::string_view name);

}  // namespace velafs::store
