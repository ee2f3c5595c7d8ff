#include "velafs/fuse/node_id.h"

#include <doctest/doctest.h>

namespace velafs::fuse {
namespace {

TEST_CASE("a node id means one inode of one life of a branch, up to the largest of both") {
  for (const uint64_t instance : {uint64_t{1}, uint64_t{1} << 24, kMaxInstance}) {
    for (const uint64_t ino : {uint64_t{1}, (uint64_t{1} << 24) + 1, kMaxInode}) {
      const Node node = ToNode(ToNodeId(InstanceId(instance), InodeNumber(ino)));
      CHECK(node.instance.value == instance);
      CHECK(node.ino.value == ino);
      CHECK_FALSE(node.IsRoot());
    }
  }
  CHECK(ToNode(kRootNode).IsRoot());
}

TEST_CASE("the 16,777,217th life of a branch is not the first") {
  const uint64_t first = ToNodeId(InstanceId(1), InodeNumber(1));
  CHECK(ToNodeId(InstanceId((uint64_t{1} << 24) + 1), InodeNumber(1)) != first);
  CHECK(ToNodeId(InstanceId(uint64_t{1} << 24), InodeNumber(1)) != kRootNode);
}

}  // namespace
}  // namespace velafs::fuse
