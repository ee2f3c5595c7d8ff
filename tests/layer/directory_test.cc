#include "velafs/layer/directory.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

namespace velafs::layer {
namespace {

constexpr LayerId kLowest{1};
constexpr LayerId kMiddle{2};
constexpr LayerId kTop{3};
const InodeNumber kDirectoryIno{10};

catalog::NameRow Row(const std::string& name, uint64_t ino) {
  return {kDirectoryIno, name, InodeNumber(ino)};
}

TEST_CASE("of a name that several layers have, the nearest one counts") {
  Directory names(kTop);
  names.Apply(kLowest, {Row("a", 11), Row("b", 12)});
  names.Apply(kMiddle, {Row("a", 21)});
  names.Apply(kTop, {Row("b", 31), Row("c", 32)});
  CHECK(names.Find("a") == InodeNumber(21));
  CHECK(names.Find("b") == InodeNumber(31));
  CHECK(names.Find("c") == InodeNumber(32));
  CHECK_FALSE(names.Find("d"));
}

TEST_CASE("a whiteout hides the name below, and a layer above may have the name again") {
  Directory names(kTop);
  names.Apply(kLowest, {Row("a", 11), Row("b", 12)});
  names.Apply(kMiddle, {Row("a", 0), Row("b", 0)});
  CHECK(names.IsEmpty());
  names.Apply(kTop, {Row("a", 31)});
  CHECK(names.Find("a") == InodeNumber(31));
  CHECK_FALSE(names.Find("b"));
}

TEST_CASE("only a name that a layer below has takes a whiteout") {
  Directory names(kTop);
  names.Apply(kLowest, {Row("below", 11), Row("hidden", 12)});
  names.Apply(kMiddle, {Row("hidden", 0)});
  names.Apply(kTop, {Row("own", 31)});
  CHECK(names.IsBelow("below"));
  CHECK_FALSE(names.IsBelow("hidden"));
  CHECK_FALSE(names.IsBelow("own"));

  names.Remove("below");
  CHECK_FALSE(names.Find("below"));
  CHECK(names.IsBelow("below"));
  names.Set("below", InodeNumber(32));
  CHECK(names.Find("below") == InodeNumber(32));
  CHECK(names.IsBelow("below"));
  names.Remove("own");
  CHECK_FALSE(names.IsBelow("own"));
}

TEST_CASE("a whiteout of the head's own stays one when the directory is loaded anew") {
  Directory names(kTop);
  names.Apply(kLowest, {Row("a", 11)});
  names.Apply(kTop, {Row("a", 0)});
  CHECK_FALSE(names.Find("a"));
  CHECK(names.IsBelow("a"));
}

TEST_CASE("under a new head every name is below, and whiteouts are done with") {
  Directory names(kMiddle);
  names.Apply(kLowest, {Row("a", 11), Row("b", 12)});
  names.Set("c", InodeNumber(13));
  names.Remove("a");
  names.MoveTo(kTop);
  CHECK(names.head() == kTop);
  CHECK_FALSE(names.IsBelow("a"));
  CHECK(names.IsBelow("b"));
  CHECK(names.IsBelow("c"));
}

// A listing that began under another daemon goes on with them.
TEST_CASE("cookies of names are what they have always been") {
  Directory names(kTop);
  names.Set("PG_VERSION", InodeNumber(11));
  CHECK(names.After(0)->first == 2974342884212680333U);
  names.Remove("PG_VERSION");
  names.Set("base", InodeNumber(12));
  CHECK(names.After(0)->first == 2783005108899285256U);
}

TEST_CASE("a listing goes on behind the last name it has shown, whatever comes and goes") {
  Directory names(kTop);
  for (uint64_t i = 1; i <= 50; ++i) names.Set("name" + std::to_string(i), InodeNumber(i));
  std::set<std::string> seen;
  DirectoryCookie at = 0;
  for (int shown = 0; names.After(at) != names.end(); ++shown) {
    const auto entry = names.After(at);
    CHECK(seen.insert(entry->second.name).second);
    at = entry->first;
    const std::string gone = entry->second.name;
    if (shown % 2 == 0) names.Remove(gone);
  }
  CHECK(seen.size() == 50);
}

}  // namespace
}  // namespace velafs::layer
