#include "pgctl-wrapper/command/columns.h"

#include <doctest/doctest.h>

using namespace velafs::pgctl;

TEST_CASE("columns line up, with nothing after the last word of a line") {
  CHECK(AlignColumns({{"POOL", "SIZE", "OF"}, {"a", "10", "main"}, {"longer", "2", ""}}) ==
        "POOL    SIZE  OF\n"
        "a       10    main\n"
        "longer  2\n");
  CHECK(AlignColumns({}).empty());
}
