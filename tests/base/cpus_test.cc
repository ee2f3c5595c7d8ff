#include "velafs/base/cpus.h"

#include <doctest/doctest.h>

using velafs::Code;
using velafs::FormatCpus;
using velafs::ParseCpus;

TEST_CASE("a number of processors is whole or has a fraction") {
  for (const auto& [text, percent] :
       {std::pair("2", 200), {"0.5", 50}, {"1.25", 125}, {"0.01", 1}, {"64", 6400}}) {
    const auto parsed = ParseCpus(text);
    REQUIRE(parsed.ok());
    CHECK(*parsed == static_cast<uint64_t>(percent));
    CHECK(FormatCpus(*parsed) == text);
  }
  for (const char* text : {"", "0", "-1", "two", "1,5", "1.5x", "0.001", "inf", "nan", "100000"}) {
    CHECK(ParseCpus(text).status().code() == Code::kUsage);
  }
}
