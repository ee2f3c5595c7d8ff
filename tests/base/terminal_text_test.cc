#include "velafs/base/terminal_text.h"

#include <doctest/doctest.h>

namespace velafs {

TEST_CASE("a line for a terminal keeps its tabs and has nothing that the terminal obeys") {
  CHECK(PrintableLine("") == "");
  CHECK(PrintableLine("\ta\t\tb\t") == "\ta\t\tb\t");
  CHECK(PrintableLine("\t\x1b[2Jx\r") == "\t\\x1b[2Jx\\x0d");
}

}  // namespace velafs
