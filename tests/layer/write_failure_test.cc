// Changes that the host makes in part, or that fail between two steps. Numbers are DURABILITY.md's
// invariants.
#include <doctest/doctest.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <memory>
#include <thread>

#include "tests/layer/volume_fixture.h"
#include "tests/os/scheduler.h"
#include "tests/os/volatile_storage.h"
#include "tests/sql/storage_vfs.h"
#include "tests/store/hooked_storage.h"

namespace velafs::layer {
namespace {

const std::string kOld(4 * kPageBytes, 'o');
const std::string kNew(4 * kPageBytes, 'n');

// A disk in memory, with a volume on it whose branch "main" has a file of its own pages.
struct Disk {
  static constexpr char kDirectory[] = "/disk/store";

  explicit Disk(uint64_t seed) : disk(static_cast<unsigned>(seed)) {
    volume.MakeSource("main", {{"file", std::string(kPageBytes, 's')}});
    volume.Reopen();
    branch = volume.Open("main");
    ino = InodeOf(*branch, "file");
    REQUIRE(branch->Write(ino, 0, BytesOf(kOld)).ok());
    REQUIRE(branch->Sync(ino, os::SyncKind::kFull).ok());
  }
  void CutPower() {
    branch.reset();
    disk.CutAfter(0);
    volume.CloseAll();
    disk.PowerOn(100);
    volume.OpenAll();
    branch = volume.Open("main");
  }

  test::VolatileStorage disk;
  const test::StorageForSqlite sqlite{kDirectory, [this]() -> test::VolatileStorage& {
                                        disk.MakeDurableDirectories(kDirectory);
                                        return disk;
                                      }()};
  VolumeFixture volume{disk, kDirectory};
  std::shared_ptr<Branch> branch;
  InodeNumber ino;
};

// 5.
TEST_CASE("what a write that failed has changed is in a clone, and survives a power cut there") {
  int in_part = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    Disk host(seed);
    host.disk.FailAfter(0, EIO);
    CHECK_FALSE(host.branch->Write(host.ino, 0, BytesOf(kNew)).ok());
    const std::string left = ContentOf(*host.branch, "file");
    if (left != kOld) ++in_part;
    REQUIRE(host.volume.Clone("main", "dev").ok());
    CHECK(ContentOf(*host.volume.Open("dev"), "file") == left);
    host.CutPower();
    CHECK(ContentOf(*host.volume.Open("dev"), "file") == left);
  }
  CHECK(in_part > 0);
}

TEST_CASE("a file does not grow when space for it could not be had, wherever the host stopped") {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    Disk host(seed);
    host.disk.FailAfter(0, ENOSPC);
    CHECK(host.branch->Allocate(host.ino, {0, 100 * kPageBytes}, false).error_number() == ENOSPC);
    CHECK(host.branch->Get(host.ino)->size_bytes == kOld.size());
    REQUIRE(host.branch->Sync(host.ino, os::SyncKind::kFull).ok());
    host.CutPower();
    CHECK(host.branch->Get(host.ino)->size_bytes == kOld.size());
    CHECK(ContentOf(*host.branch, "file") == kOld);
  }
}

// A volume on the host's storage, where `hook` sees what happens to page files.
struct HookedVolume {
  std::function<Status()> hook = [] { return Status(); };
  test::HookedStorage storage{[this](const std::string& path) {
    const bool is_page_file = path.find("/layers/") != path.npos && !path.ends_with(".map");
    return is_page_file ? hook() : Status();
  }};
  VolumeFixture volume{storage};
};

// 5.
TEST_CASE("a clone whose last pages cannot be synced is not there, and its branch goes on") {
  HookedVolume host;
  host.volume.MakeSource("main", {{"file", kOld}});
  auto branch = host.volume.Open("main");
  const InodeNumber ino = InodeOf(*branch, "file");
  REQUIRE(branch->Write(ino, 0, BytesOf(kNew)).ok());
  // Between the first sync of the freeze and the one that has to make the frozen layer durable.
  enum { kBeforeFirstSync, kInWrite, kBeforeSecondSync } step = kBeforeFirstSync;
  host.hook = [&]() -> Status {
    if (step == kInWrite) return {};
    if (step == kBeforeSecondSync) return Errno(EIO);
    step = kInWrite;
    REQUIRE(branch->Write(ino, 0, BytesOf("late")).ok());
    step = kBeforeSecondSync;
    return {};
  };
  const Status cloned = host.volume.Clone("main", "dev");
  host.hook = [] { return Status(); };
  CHECK(step == kBeforeSecondSync);
  CHECK(cloned.error_number() == EIO);
  CHECK(host.volume.volume().Open("dev").status().code() == Code::kNotFound);

  branch.reset();
  host.volume.Crash();
  CHECK(ContentOf(*host.volume.Open("main"), "file") == "late" + kNew.substr(4));
  CHECK(host.volume.Clone("main", "dev").ok());
}

// 5. At each step of the freeze in turn, something is written, and then the host syncs no more.
TEST_CASE("a clone that failed is not there, wherever in it the host began to fail") {
  if (!test::Scheduler::IsPossible()) return;
  int failures = 0;
  bool has_paused = true;
  for (uint64_t steps = 0; has_paused; ++steps) {
    HookedVolume host;
    host.volume.MakeSource("main", {{"file", kOld}});
    const auto branch = host.volume.Open("main");
    const InodeNumber ino = InodeOf(*branch, "file");
    REQUIRE(branch->Write(ino, 0, BytesOf(kNew)).ok());
    Status cloned;
    const auto clone = [&] { cloned = host.volume.Clone("main", "dev"); };
    const auto fail = [&] {
      static_cast<void>(branch->Write(ino, 0, BytesOf("late")));
      host.hook = [] { return Errno(EIO); };
    };
    test::Scheduler scheduler = test::Scheduler::WithPauseAfter(steps);
    scheduler.Run({{"clone", clone}, {"fail", fail}});
    has_paused = scheduler.has_paused();
    host.hook = [] { return Status(); };
    const Status found = host.volume.volume().Open("dev").status();
    CHECK_MESSAGE(found.ok() == cloned.ok(), "after ", steps, " steps: ", cloned.message());
    if (!cloned.ok()) ++failures;
  }
  CHECK(failures > 0);
}

// 4.
TEST_CASE("page files of deleted files go in the end, though the host fails to remove some") {
  HookedVolume host;
  host.volume.MakeSource("main", {});
  const auto branch = host.volume.Open("main");
  for (const char* name : {"a", "b", "c"}) {
    REQUIRE(branch->Write(MakeFile(*branch, name), 0, BytesOf(kNew)).ok());
  }
  for (const char* name : {"a", "b", "c"}) {
    REQUIRE(branch->Unlink(branch->root(), name).ok());
  }
  host.hook = [] { return Errno(EIO); };
  CHECK_FALSE(host.volume.volume().SyncAll().ok());
  host.hook = [] { return Status(); };
  REQUIRE(host.volume.volume().SyncAll().ok());
  const std::string head = host.volume.LayerDirectory(host.volume.HeadOf("main"));
  CHECK(os::HostStorage().List(head)->empty());
}

// A host that counts the writes to page files, and those of them that syncs, which are slow, have
// made durable.
class SlowSyncs : public test::HookedStorage {
 public:
  SlowSyncs() : HookedStorage(kNothing) {}

  Result<std::unique_ptr<os::File>> Open(const std::string& path, os::OpenMode mode) override {
    VELAFS_ASSIGN(auto file, os::HostStorage().Open(path, mode));
    const bool is_page_file = path.find("/layers/") != path.npos && !path.ends_with(".map");
    if (!is_page_file) return file;
    return std::unique_ptr<os::File>(new SlowFile(std::move(file), path, *this));
  }

  std::atomic<uint64_t> written = 0;
  std::atomic<uint64_t> durable = 0;

 private:
  class SlowFile : public test::HookedFile {
   public:
    SlowFile(std::unique_ptr<os::File> file, const std::string& path, SlowSyncs& host)
        : HookedFile(std::move(file), path, kNothing), host_(host) {}
    Status Write(uint64_t offset_bytes, std::span<const std::byte> data) override {
      VELAFS_TRY(HookedFile::Write(offset_bytes, data));
      ++host_.written;
      return {};
    }
    Status Sync(os::SyncKind) override {
      const uint64_t covered = host_.written;
      for (int i = 0; i < 100; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
      host_.durable = covered;
      return {};
    }

   private:
    SlowSyncs& host_;
  };

  static inline const test::StorageHook kNothing = [](const std::string&) { return Status(); };
};

// 3.
TEST_CASE("of two syncs at once, neither returns before what was written is durable") {
  SlowSyncs host;
  VolumeFixture volume(host);
  volume.MakeSource("main", {});
  const auto branch = volume.Open("main");
  const InodeNumber ino = MakeFile(*branch, "file");
  std::atomic<uint64_t> acknowledged = 0;
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> too_early = 0;
  const auto sync = [&] {
    const uint64_t before = acknowledged;
    if (!branch->Sync(ino, os::SyncKind::kData).ok() || host.durable < before) ++too_early;
  };
  std::thread other([&] {
    while (!stop) sync();
  });
  for (int round = 0; round < 100'000; ++round) {
    if (!branch->Write(ino, 0, BytesOf("x")).ok()) ++too_early;
    acknowledged = host.written.load();
    sync();
  }
  stop = true;
  other.join();
  CHECK(too_early.load() == 0);
}

}  // namespace
}  // namespace velafs::layer
