// What Tab is answered for velapg, but for names in a store: integration/completion_test.sh has
// those.
#include <doctest/doctest.h>

#include <algorithm>

#include "pgctl-wrapper/command/arguments.h"

using velafs::pgctl::CandidatesAfter;
using Words = std::vector<std::string>;

TEST_CASE("velapg's commands, options and values are completed") {
  CHECK(CandidatesAfter({"--store", "/nonexistent", "resta"}) == Words{"restart"});
  CHECK(CandidatesAfter({"pool", "li"}) == Words{"list"});
  CHECK(CandidatesAfter({"start", "a", "--idl"}) == Words{"--idle-stop"});
  CHECK(CandidatesAfter({"start", "a", "--network", ""}) == Words{"isolated", "loopback", "host"});
  CHECK(CandidatesAfter({"stop", "a", "--mode", "i"}) == Words{"immediate"});
  CHECK(CandidatesAfter({"start", "a", "--pgbin", "/usr"}) == Words{":directories"});
  CHECK(CandidatesAfter({"cand"}).empty());  // for shells, not for people
  const Words all = CandidatesAfter({});
  for (const char* command : {"start", "psql", "run", "take", "inspect"}) {
    CHECK(std::find(all.begin(), all.end(), command) != all.end());
  }
}

TEST_CASE("what follows -- is the shell's to complete") {
  CHECK(CandidatesAfter({"run", "main", "--", "py"}) == Words{":commands"});
  CHECK(CandidatesAfter({"run", "main", "--", "pytest", "te"}) == Words{":files"});
  CHECK(CandidatesAfter({"--store", "/nonexistent", "run", "x", ""}).empty());
}
