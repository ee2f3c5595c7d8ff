// Makes lines of untrusted text safe for a terminal.
#pragma once

#include <string>
#include <string_view>

namespace velafs {

// As Printable, but keeps tabs: they only move the cursor.
std::string PrintableLine(std::string_view line);

}  // namespace velafs
