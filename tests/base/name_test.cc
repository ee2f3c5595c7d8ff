#include "velafs/base/name.h"

#include <doctest/doctest.h>

#include <string>

namespace velafs {
namespace {

TEST_CASE("names are lower case letters, digits, dots, underscores and hyphens") {
  for (const std::string name : {"a", "0", "pr-12", "a.b_c-d", "9lives"}) {
    CHECK_MESSAGE(CheckName("branch", name).ok(), name);
  }
  CHECK(CheckName("branch", std::string(63, 'a')).ok());
  for (const std::string name :
       {"", ".", "..", "-a", "_a", ".a", "A", "a b", "a/b", "a@b", "a\n", "\xc3\xa4", "a*"}) {
    CHECK_MESSAGE(CheckName("branch", name).code() == Code::kUsage, name);
  }
  CHECK(CheckName("branch", std::string(64, 'a')).code() == Code::kUsage);
  CHECK(CheckName("branch", std::string("a\0b", 3)).code() == Code::kUsage);
}

TEST_CASE("a refusal says what kind of name it is") {
  CHECK(CheckName("bookmark", "A").message().find("bookmark") != std::string::npos);
}

TEST_CASE("a pattern has a wildcard, and what else is no name is none") {
  CHECK(IsNamePattern("pr-*"));
  CHECK(IsNamePattern("pr-?"));
  CHECK(IsNamePattern("[ab]x"));
  CHECK_FALSE(IsNamePattern("pr-1"));
  CHECK_FALSE(IsNamePattern("a/*"));
  CHECK(MatchesName("pr-*", "pr-12"));
  CHECK_FALSE(MatchesName("pr-*", "qa-12"));
  CHECK(MatchesName("pr-?", "pr-1"));
  CHECK_FALSE(MatchesName("pr-?", "pr-12"));
}

TEST_CASE("a source is a branch, or a bookmark of one") {
  const auto branch = ParseSourceRef("main");
  REQUIRE(branch.ok());
  CHECK(branch->branch == "main");
  CHECK(branch->bookmark.empty());
  CHECK(branch->ToString() == "main");
  const auto bookmark = ParseSourceRef("main@before");
  REQUIRE(bookmark.ok());
  CHECK(bookmark->branch == "main");
  CHECK(bookmark->bookmark == "before");
  CHECK(bookmark->ToString() == "main@before");
  for (const std::string text : {"", "@", "main@", "@before", "main@a@b", "Main"}) {
    CHECK_MESSAGE(ParseSourceRef(text).status().code() == Code::kUsage, text);
  }
}

}  // namespace
}  // namespace velafs
