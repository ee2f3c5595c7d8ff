#include "velafs/fuse/lost_writes.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace velafs::fuse {
namespace {

TEST_CASE("a failed write is told once, if the kernel has forgotten its inode") {
  LostWrites lost([](const LostWrites::Write&) {});
  CHECK(lost.TakeError(7) == 0);
  lost.Note({7, {0, 8192}}, ENOSPC);
  lost.Note({7, {8192, 8192}}, EDQUOT);
  lost.NoteForgotten(8);
  lost.NoteForgotten(7);
  CHECK(lost.TakeError(8) == 0);
  CHECK(lost.TakeError(7) == EDQUOT);
  CHECK(lost.TakeError(7) == 0);
}

TEST_CASE("a failed write that the kernel has told of is not told again") {
  LostWrites lost([](const LostWrites::Write&) {});
  lost.Note({7, {0, 8192}}, ENOSPC);
  CHECK(lost.TakeError(7) == 0);
  lost.NoteForgotten(7);
  CHECK(lost.TakeError(7) == 0);
}

TEST_CASE("all that was not stored is dropped, on another thread than the one that noted it") {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<uint64_t> dropped;
  const std::thread::id self = std::this_thread::get_id();
  LostWrites lost([&](const LostWrites::Write& write) {
    const std::lock_guard lock(mutex);
    if (std::this_thread::get_id() != self) dropped.push_back(write.range.offset_bytes);
    changed.notify_one();
  });
  for (uint64_t at = 0; at < 100; ++at) lost.Note({7, {at, 1}}, EIO);
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return dropped.size() == 100; });
  }
  lost.End();
  for (uint64_t at = 0; at < 100; ++at) CHECK(dropped[at] == at);
  lost.Note({7, {100, 1}}, EIO);
  CHECK(dropped.size() == 100);
}

}  // namespace
}  // namespace velafs::fuse
