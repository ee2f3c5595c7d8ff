// A disk without space under a branch. Numbers are DURABILITY.md's invariants.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cerrno>

#include "tests/layer/volume_fixture.h"
#include "tests/os/volatile_storage.h"
#include "tests/sql/storage_vfs.h"
#include "tests/store/hooked_storage.h"

namespace velafs::layer {
namespace {

const std::string kEarlier(4 * kPageBytes, 'o');
const std::string kLater(kPageBytes, 'n');

// A host where changes of page maps fail with `map_error`, when that is set.
struct FullHost {
  int map_error = 0;
  test::HookedStorage storage{[this](const std::string& path) {
    return map_error != 0 && path.ends_with(".map") ? Errno(map_error) : Status();
  }};
  VolumeFixture volume{storage};
};

// A disk that fails when told to, with a volume on it.
struct FailingDisk {
  static constexpr char kDirectory[] = "/disk/store";
  static test::VolatileStorage& WithDirectory(test::VolatileStorage& disk) {
    disk.MakeDurableDirectories(kDirectory);
    return disk;
  }
  explicit FailingDisk(uint64_t seed) : disk(static_cast<unsigned>(seed)) {}

  test::VolatileStorage disk;
  const test::StorageForSqlite sqlite{kDirectory, WithDirectory(disk)};
  VolumeFixture volume{disk, kDirectory};
};

// 9.
TEST_CASE("the first write to an inherited page fails when there is no space for its map") {
  for (const int error : {ENOSPC, EDQUOT}) {
    FullHost host;
    host.volume.MakeSource("main", {{"file", kEarlier}});
    const auto branch = host.volume.Open("main");
    const InodeNumber ino = InodeOf(*branch, "file");
    host.map_error = error;
    CHECK(branch->Write(ino, 0, BytesOf(kLater)).error_number() == error);
    CHECK(ContentOf(*branch, "file") == kEarlier);
    CHECK(branch->Sync(ino, os::SyncKind::kData).ok());

    host.map_error = 0;
    CHECK(branch->Write(ino, 0, BytesOf(kLater)).ok());
    CHECK(branch->Sync(ino, os::SyncKind::kData).ok());
    host.volume.Crash();
    CHECK(ContentOf(*host.volume.Open("main"), "file") == kLater + kEarlier.substr(kPageBytes));
  }
}

// 7.
TEST_CASE("a sync that had no space for the map fails, and the next one does all of it") {
  FullHost host;
  host.volume.MakeSource("main", {{"file", kEarlier}});
  auto branch = host.volume.Open("main");
  const InodeNumber ino = InodeOf(*branch, "file");
  REQUIRE(branch->Write(ino, 0, BytesOf(kLater)).ok());
  host.map_error = ENOSPC;
  CHECK(branch->Sync(ino, os::SyncKind::kData).error_number() == ENOSPC);
  CHECK(branch->Sync(ino, os::SyncKind::kData).error_number() == ENOSPC);
  CHECK(branch->Write(ino, 2 * kPageBytes, BytesOf(kLater)).ok());
  host.map_error = 0;
  CHECK(branch->Sync(ino, os::SyncKind::kData).ok());
  branch.reset();
  host.volume.Crash();
  CHECK(ContentOf(*host.volume.Open("main"), "file") ==
        kLater + kEarlier.substr(0, kPageBytes) + kLater + kEarlier.substr(0, kPageBytes));
}

// 7.
TEST_CASE("a sync of the map that failed is not tried again") {
  FullHost host;
  host.volume.MakeSource("main", {{"file", kEarlier}});
  const auto branch = host.volume.Open("main");
  const InodeNumber ino = InodeOf(*branch, "file");
  REQUIRE(branch->Write(ino, 0, BytesOf(kLater)).ok());
  host.map_error = EIO;
  CHECK(branch->Sync(ino, os::SyncKind::kData).error_number() == EIO);
  host.map_error = 0;
  CHECK(branch->Sync(ino, os::SyncKind::kData).error_number() == EIO);
  CHECK(branch->Write(ino, 0, BytesOf(kLater)).error_number() == EIO);
}

// 7. Wherever space runs out: what a later sync has returned for survives a power cut.
TEST_CASE("after running out of space at any change, no sync is reported that was not made") {
  bool has_struck = true;
  int recovered = 0;
  for (uint64_t n = 0; has_struck; ++n) {
    CAPTURE(n);
    FailingDisk host(n);
    auto& [disk, sqlite, volume] = host;
    volume.MakeSource("main", {{"file", kEarlier}});
    volume.Reopen();  // makes the source durable
    auto branch = volume.Open("main");
    const InodeNumber ino = InodeOf(*branch, "file");
    disk.FailAfter(n, ENOSPC);
    const bool written = branch->Write(ino, 0, BytesOf(kLater)).ok();
    bool synced = branch->Sync(ino, os::SyncKind::kFull).ok();
    has_struck = !disk.CancelFailure();
    if (!synced) synced = branch->Sync(ino, os::SyncKind::kFull).ok();
    if (written && synced && has_struck) ++recovered;

    branch.reset();
    disk.CutAfter(0);
    volume.CloseAll();
    disk.PowerOn(100);
    volume.OpenAll();
    const std::string content = ContentOf(*volume.Open("main"), "file");
    const std::string all_new = kLater + kEarlier.substr(kPageBytes);
    if (written && synced) CHECK(content == all_new);
    CHECK((content == all_new || content == kEarlier));
  }
  CHECK(recovered > 0);
}

// Of a sealing in several transactions, those before the one that failed are used.
TEST_CASE("after a sealing runs out of space at any change, the store opens, and shows the same") {
  bool has_struck = true;
  int in_part = 0;
  for (uint64_t n = 0; has_struck; ++n) {
    CAPTURE(n);
    FailingDisk host(n);
    auto& [disk, sqlite, volume] = host;
    volume.MakeSource("main", {{"a", kEarlier}, {"b", kEarlier}, {"c", kEarlier}});
    for (const char* name : {"a", "b", "c"}) {
      const auto branch = volume.Open("main");
      REQUIRE(branch->Write(InodeOf(*branch, name), 0, BytesOf(kLater)).ok());
    }
    REQUIRE(volume.Clone("main", "dev").ok());
    REQUIRE(volume.volume().SyncAll().ok());
    disk.FailAfter(n, ENOSPC);
    static_cast<void>(volume.Seal(1));
    has_struck = !disk.CancelFailure();
    volume.CloseAll();
    volume.OpenAll();
    for (const char* name : {"a", "b", "c"}) {
      CHECK(ContentOf(*volume.Open("dev"), name) == kLater + kEarlier.substr(kPageBytes));
    }
    const auto rest = volume.Seal();
    REQUIRE_MESSAGE(rest.ok(), rest.status().message());
    if (has_struck && *rest) ++in_part;
  }
  CHECK(in_part > 0);
}

}  // namespace
}  // namespace velafs::layer
