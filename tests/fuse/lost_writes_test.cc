#include "velafs/fuse/lost_writes.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <vector>

namespace velafs::fuse {
namespace {

TEST_CASE("a failed write is told once, if the kernel has forgotten its inode") {
  LostWrites lost([](const LostWrites::Write&) {});
  CHECK(lost.TakeError(7) == 0);
  lost.Note({7, 0, 8192}, ENOSPC);
  lost.Note({7, 8192, 8192}, EDQUOT);
  CHECK(lost.TakeError(7) == 0);  // the kernel tells it
  lost.NoteForgotten(8);
  CHECK(lost.TakeError(7) == 0);
  lost.NoteForgotten(7);
  CHECK(lost.TakeError(8) == 0);
  CHECK(lost.TakeError(7) == EDQUOT);
  CHECK(lost.TakeError(7) == 0);
}

TEST_CASE("all that was not stored is dropped, on another thread than the one that noted it") {
  std::vector<uint64_t> dropped;
  const std::thread::id self = std::this_thread::get_id();
  {
    LostWrites lost([&](const LostWrites::Write& write) {
      CHECK(std::this_thread::get_id() != self);
      dropped.push_back(write.offset_bytes);
    });
    for (uint64_t at = 0; at < 100; ++at) lost.Note({7, at, 1}, EIO);
  }
  REQUIRE(dropped.size() == 100);
  for (uint64_t at = 0; at < 100; ++at) CHECK(dropped[at] == at);
}

}  // namespace
}  // namespace velafs::fuse
