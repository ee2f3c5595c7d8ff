#include "pgctl-wrapper/server/start_warnings.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace velafs;
using namespace velafs::pgctl;

namespace {

bool SaysNoConfiguration(const ServerFacts& facts) {
  std::vector<std::string> warnings;
  WarnOfData(facts, StartOptions(), /*is_first=*/false, &warnings);
  return std::ranges::any_of(warnings, [](const std::string& warning) {
    return warning.starts_with("the branch has no postgresql.conf");
  });
}

}  // namespace

TEST_CASE("a branch has no configuration only if velapg made one, not if it mended a copy") {
  ServerFacts facts;
  facts.version = 15;
  facts.places.data_dir = "/nowhere/branch";
  facts.places.config_file = "/nowhere/branch/postgresql.conf";
  CHECK_FALSE(SaysNoConfiguration(facts));
  facts.places.config_file = "/nowhere/run/postgresql.conf";
  CHECK(SaysNoConfiguration(facts));
  facts.places.config_is_copy = true;
  CHECK_FALSE(SaysNoConfiguration(facts));
}
