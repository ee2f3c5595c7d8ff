#include "velafs/os/space_reserve.h"

#include <doctest/doctest.h>

#include <cerrno>

#include "tests/os/scratch_directory.h"
#include "tests/os/volatile_storage.h"

namespace velafs::os {
namespace {

struct ReserveFixture {
  // What the reserve occupies on the disk.
  uint64_t Kept() const {
    const auto info = HostStorage().Stat(path);
    return info.ok() ? info->allocated_bytes : 0;
  }

  test::ScratchDirectory scratch;
  const std::string path = scratch / "reserve";
  SpaceReserve reserve{HostStorage(), path};
};

TEST_CASE_FIXTURE(ReserveFixture, "a reserve occupies the space it keeps back") {
  CHECK(Kept() == 0);
  reserve.Refill();
  CHECK(Kept() >= SpaceReserve::kBytes);
}

TEST_CASE_FIXTURE(ReserveFixture,
                  "an operation out of space runs anew with a part of the reserve") {
  for (const int error_number : {ENOSPC, EDQUOT}) {
    reserve.Refill();
    const uint64_t before = Kept();
    int runs = 0;
    const Result<int> done = reserve.Run([&]() -> Result<int> {
      if (Kept() == before) return Errno(error_number);
      return ++runs;
    });
    REQUIRE(done.ok());
    CHECK(*done == 1);
    CHECK(Kept() > 0);
    reserve.Refill();
    CHECK(Kept() == before);
  }
}

TEST_CASE_FIXTURE(ReserveFixture, "an operation that is out of space even so fails, and ends") {
  reserve.Refill();
  const Status failed = reserve.Run([] { return Errno(ENOSPC); });
  CHECK(failed.error_number() == ENOSPC);
  CHECK(Kept() == 0);
  CHECK(reserve.Run([] { return Errno(EDQUOT); }).error_number() == EDQUOT);
}

TEST_CASE_FIXTURE(ReserveFixture, "a disk without inodes is given those of the reserve") {
  reserve.Refill();
  const auto files = [this] { return HostStorage().List(scratch.path())->size(); };
  const size_t before = files();
  size_t taken = 0;
  // The operation makes three files, and the disk has no inode for any.
  const Status made = reserve.Run([&] {
    taken = before - files();
    return taken < 3 ? Errno(ENOSPC) : Status();
  });
  CHECK_MESSAGE(made.ok(), made.message());
  CHECK(taken >= 3);
  reserve.Refill();
  CHECK(files() == before);
}

TEST_CASE_FIXTURE(ReserveFixture, "nothing is given back to an operation that fails otherwise") {
  reserve.Refill();
  int runs = 0;
  CHECK(reserve.Run([&] { return ++runs, Errno(EIO); }).error_number() == EIO);
  CHECK(runs == 1);
  CHECK(Kept() >= SpaceReserve::kBytes);
}

TEST_CASE("a disk without room to spare leaves the reserve as it is, to be filled later") {
  test::VolatileStorage disk(1);
  SpaceReserve reserve(disk, "/reserve");
  disk.FailAfter(1, ENOSPC);  // the first change makes the file
  reserve.Refill();
  REQUIRE_FALSE(disk.CancelFailure());
  CHECK(disk.Stat("/reserve")->size_bytes == 0);
  reserve.Refill();
  CHECK(disk.Stat("/reserve")->size_bytes == SpaceReserve::kBytes);
  const uint64_t changes = disk.changes();
  reserve.Refill();
  CHECK(disk.changes() == changes);
}

}  // namespace
}  // namespace velafs::os
