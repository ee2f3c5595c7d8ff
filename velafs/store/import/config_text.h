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

// The settings of its lines, includes among them, in order. Other lines are left out.
std::vector<ConfigLine> ParseConfig(std::string_view text);
// The value of the last line with that name; "" if there is none.
std::string ValueIn(const std::vector<ConfigLine>& lines, std::string_view name);

}  // namespace velafs::store
