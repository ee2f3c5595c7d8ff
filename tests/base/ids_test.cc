#include "velafs/base/ids.h"

#include <doctest/doctest.h>

#include <type_traits>
#include <unordered_set>

namespace velafs {
namespace {

static_assert(!std::is_convertible_v<LayerId, BranchId>);
static_assert(!std::is_convertible_v<uint64_t, LayerId>);
static_assert(!std::is_convertible_v<LayerId, uint64_t>);

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
