#include "velafs/base/nearest.h"

#include <doctest/doctest.h>

namespace velafs {
namespace {

TEST_CASE("the distance of two words is how many edits make one the other") {
  CHECK(EditDistance("", "") == 0);
  CHECK(EditDistance("", "abc") == 3);
  CHECK(EditDistance("abc", "") == 3);
  CHECK(EditDistance("clone", "clone") == 0);
  CHECK(EditDistance("clone", "clones") == 1);
  CHECK(EditDistance("clnoe", "clone") == 1);  // exchanged
  CHECK(EditDistance("kitten", "sitting") == 3);
}

TEST_CASE("the nearest name is found if it is near enough") {
  const std::vector<std::string> names = {"main", "pr-42", "pr-421", "feature-login"};
  CHECK(NearestName("pr-43", names) == "pr-42");
  CHECK(NearestName("mian", names) == "main");
  CHECK(NearestName("Main", names) == "main");
  CHECK(NearestName("feature_login", names) == "feature-login");
  CHECK_FALSE(NearestName("staging", names).has_value());
  CHECK_FALSE(NearestName("main", names).has_value());
  CHECK_FALSE(NearestName("", names).has_value());
  CHECK(NearestName("x", {"y"}) == "y");
  CHECK(DidYouMean("mian", names, "else") == "did you mean \"main\"?");
  CHECK(DidYouMean("staging", names, "else") == "else");
}

}  // namespace
}  // namespace velafs
