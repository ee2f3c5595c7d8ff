#include "velafs/base/byte_range.h"

#include <doctest/doctest.h>

namespace velafs {
namespace {

TEST_CASE("a range ends where its bytes do") {
  CHECK(ByteRange().End() == 0);
  CHECK(ByteRange{5, 3}.End() == 8);
  CHECK(ByteRange::Between(5, 8) == ByteRange{5, 3});
  CHECK(ByteRange::Between(5, 5) == ByteRange{5, 0});
}

TEST_CASE("a range is within a size, whatever its numbers are") {
  CHECK(ByteRange{5, 3}.IsWithin(8));
  CHECK_FALSE(ByteRange{5, 3}.IsWithin(7));
  CHECK(ByteRange{8, 0}.IsWithin(8));
  CHECK_FALSE(ByteRange{9, 0}.IsWithin(8));
  CHECK_FALSE(ByteRange{UINT64_MAX, 2}.IsWithin(8));  // the end would be 1
  CHECK_FALSE(ByteRange{2, UINT64_MAX}.IsWithin(8));
  CHECK(ByteRange{0, UINT64_MAX}.IsWithin(UINT64_MAX));
}

TEST_CASE("a range is cut at an offset") {
  CHECK(ByteRange{5, 3}.Before(7) == ByteRange{5, 2});
  CHECK(ByteRange{5, 3}.Before(100) == ByteRange{5, 3});
  CHECK(ByteRange{5, 3}.Before(5) == ByteRange{5, 0});
  CHECK(ByteRange{5, 3}.Before(2) == ByteRange{5, 0});
  CHECK(ByteRange{5, UINT64_MAX}.Before(7) == ByteRange{5, 2});
}

}  // namespace
}  // namespace velafs
