// Lines of somebody else's text, as a terminal may have them.
#pragma once

#include <string>
#include <string_view>

namespace velafs {

// As Printable, but with its tabs, which move the cursor and no more.
std::string PrintableLine(std::string_view line);

}  // namespace velafs
