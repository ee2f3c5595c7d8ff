#include "velafs/base/ids.h"

#include <doctest/doctest.h>

#include <type_traits>
#include <unordered_set>

namespace velafs {
namespace {

static_assert(!std::is_convertible_v<LayerId, BranchId>);
static_assert(!std::is_convertible_v<uint64_t, LayerId>);
static_assert(!std::is_convertible_v<LayerId, uint64_t>);
static_assert(!std::is_convertible_v<uint64_t, PageNumber>);
static_assert(!std::is_convertible_v<PageNumber, uint64_t>);
static_assert(sizeof(PageNumber) == sizeof(uint64_t));
template <typename T>
concept Adds = requires(T a, T b) {
  a + b;
};
static_assert(Adds<uint64_t> && !Adds<PageNumber>);  // a sum of positions means nothing

TEST_CASE("zero is no id, and others are in the order of their numbers") {
  CHECK_FALSE(LayerId());
  CHECK(LayerId(1));
  CHECK(LayerId(1) < LayerId(2));
  CHECK(LayerId(2) == LayerId(2));
}

TEST_CASE("the largest inode number and instance fit into a node id together") {
  CHECK((kMaxInstance << kInodeBits | kMaxInode) == UINT64_MAX);
  CHECK((kMaxInstance << kInodeBits & kMaxInode) == 0);
  CHECK(kLargestId<InodeNumber> == kMaxInode);
  CHECK(kLargestId<InstanceId> == kMaxInstance);
  CHECK(kLargestId<LayerId> == INT64_MAX);
}

TEST_CASE("pages are counted up to the one that the last byte is in") {
  CHECK(PagesUpTo(0) == 0);
  CHECK(PagesUpTo(1) == 1);
  CHECK(PagesUpTo(kPageBytes) == 1);
  CHECK(PagesUpTo(kPageBytes + 1) == 2);
  CHECK(PagesUpTo(kMaxFileBytes) == kMaxFileBytes / kPageBytes);
}

TEST_CASE("a page is found by an offset, and has one") {
  CHECK(PageNumber::At(0) == PageNumber(0));
  CHECK(PageNumber::At(kPageBytes - 1) == PageNumber(0));
  CHECK(PageNumber::At(kPageBytes) == PageNumber(1));
  CHECK(PageNumber::From(0) == PageNumber(0));
  CHECK(PageNumber::From(1) == PageNumber(1));
  CHECK(PageNumber::From(kPageBytes) == PageNumber(1));
  CHECK(PageNumber::From(kPageBytes + 1) == PageNumber(2));
  CHECK(PageNumber(3).OffsetBytes() == 3 * kPageBytes);
  CHECK(PageNumber::At(kMaxFileBytes).OffsetBytes() == kMaxFileBytes);
}

TEST_CASE("pages are counted from one to another") {
  PageNumber page(5);
  CHECK(page + 3 == PageNumber(8));
  CHECK(page - 3 == PageNumber(2));
  CHECK(PageNumber(9) - page == 4);
  CHECK(++page == PageNumber(6));
  CHECK((page += 4) == PageNumber(10));
  CHECK(PageNumber() < page);
  CHECK(PageNumber(7).NextGroup(8) == PageNumber(8));
  CHECK(PageNumber(8).NextGroup(8) == PageNumber(16));
  CHECK(PageNumber(8).NextGroup(1) == PageNumber(9));
  const std::unordered_set<PageNumber> known = {page, page, PageNumber()};
  CHECK(known.size() == 2);
}

TEST_CASE("a chunk is named in hexadecimal digits") {
  ChunkId id;
  CHECK(id.IsZeros());
  CHECK(id.ToHex() == std::string(64, '0'));
  id.bytes[0] = 0x0a;
  id.bytes[31] = 0xf0;
  CHECK_FALSE(id.IsZeros());
  CHECK(id.ToHex() == "0a" + std::string(60, '0') + "f0");
  const std::unordered_set<ChunkId> known = {id, id, ChunkId()};
  CHECK(known.size() == 2);
}

}  // namespace
}  // namespace velafs
