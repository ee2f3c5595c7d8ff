#include "velafs/fuse/listing.h"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

namespace velafs::fuse {
namespace {

struct stat StatOf(uint64_t node_id) {
  struct stat attributes = {};
  attributes.st_ino = node_id;
  attributes.st_mode = S_IFREG;
  return attributes;
}

size_t BytesOfName(bool plus, const std::string& name) {
  const struct stat attributes = StatOf(1);
  fuse_entry_param entry = {};
  entry.attr = attributes;
  return plus ? fuse_add_direntry_plus(nullptr, nullptr, 0, name.c_str(), &entry, 0)
              : fuse_add_direntry(nullptr, nullptr, 0, name.c_str(), &attributes, 0);
}

// Adds names until one finds no room; how many did.
size_t Fill(Listing& listing, const std::vector<layer::DirectoryCookie>& cookies) {
  for (size_t i = 0; i < cookies.size(); ++i) {
    if (!listing.Add(cookies[i], "name" + std::to_string(i), StatOf(100 + i))) return i;
  }
  return cookies.size();
}

TEST_CASE("names that share a cookie are listed together or not at all") {
  for (const bool plus : {false, true}) {
    const size_t one = BytesOfName(plus, "name0");
    Listing listing(nullptr, 3 * one + one / 2, plus);
    CHECK(Fill(listing, {20, 30, 30, 30, 40}) == 3);
    CHECK(listing.Finish().size() == one);
    CHECK(listing.referred() == (plus ? std::vector<uint64_t>{100} : std::vector<uint64_t>()));
  }
}

TEST_CASE("a group that fits as a whole is listed, though the next name does not fit") {
  for (const bool plus : {false, true}) {
    const size_t one = BytesOfName(plus, "name0");
    Listing listing(nullptr, 3 * one, plus);
    CHECK(Fill(listing, {20, 30, 30, 40}) == 3);
    CHECK(listing.Finish().size() == 3 * one);
    if (plus) CHECK(listing.referred() == std::vector<uint64_t>{100, 101, 102});
  }
}

TEST_CASE("all names that fit are listed") {
  const size_t one = BytesOfName(false, "name0");
  Listing listing(nullptr, 10 * one, false);
  CHECK(Fill(listing, {20, 30, 30}) == 3);
  CHECK(listing.Finish().size() == 3 * one);
}

TEST_CASE("the kernel comes to refer to no dot, and to each name of a READDIRPLUS answer") {
  Listing listing(nullptr, 4096, true);
  listing.AddDots(1, 2, 0);
  CHECK(listing.Add(20, "name", StatOf(100)));
  const auto whole = listing.Finish();
  CHECK(listing.referred() == std::vector<uint64_t>{100});
  const size_t dot = BytesOfName(true, ".");
  CHECK(whole.size() == dot + BytesOfName(true, "..") + BytesOfName(true, "name"));
}

TEST_CASE("a listing that goes on behind the dots has none") {
  const auto dots_after = [](layer::DirectoryCookie after) {
    Listing listing(nullptr, 4096, false);
    listing.AddDots(1, 2, after);
    return listing.Finish().size();
  };
  const size_t dot = BytesOfName(false, ".");
  const size_t two_dots = BytesOfName(false, "..");
  CHECK(dots_after(0) == dot + two_dots);
  CHECK(dots_after(1) == two_dots);
  CHECK(dots_after(2) == 0);
  CHECK(dots_after(layer::kFirstCookie) == 0);
}

}  // namespace
}  // namespace velafs::fuse
