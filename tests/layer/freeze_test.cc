#include <doctest/doctest.h>
#include <sys/stat.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "tests/layer/volume_fixture.h"
#include "tests/os/volatile_storage.h"
#include "tests/sql/storage_vfs.h"
#include "tests/store/hooked_storage.h"

namespace velafs::layer {
namespace {

uint64_t NumberIn(Branch& branch, std::string_view name) {
  uint64_t number = 0;
  const std::string content = ContentOf(branch, name);
  if (content.size() >= sizeof number) std::memcpy(&number, content.data(), sizeof number);
  return number;
}

Status WriteNumber(Branch& branch, InodeNumber ino, uint64_t number) {
  return branch.Write(ino, 0, std::as_bytes(std::span(&number, 1)));
}

// DURABILITY.md 5.
TEST_CASE("a freeze is one moment for all files of a branch that is being written") {
  VolumeFixture fixture;
  fixture.MakeSource("main", {{"first", std::string(kPageBytes, 'x')}, {"second", ""}});
  auto branch = fixture.Open("main");
  const InodeNumber first = InodeOf(*branch, "first");
  const InodeNumber second = InodeOf(*branch, "second");
  std::atomic<bool> stop = false;
  std::atomic<int> failures = 0;
  std::atomic<uint64_t> written = 0;

  // Every number goes to `first` before it goes to `second`.
  std::thread writer([&] {
    for (uint64_t number = 1; !stop; ++number) {
      if (!WriteNumber(*branch, first, number).ok()) ++failures;
      if (!WriteNumber(*branch, second, number).ok()) ++failures;
      written = number;
    }
  });
  std::thread syncer([&] {
    while (!stop) {
      if (!branch->Sync(first, os::SyncKind::kData).ok()) ++failures;
      if (!branch->Sync(second, os::SyncKind::kFull).ok()) ++failures;
    }
  });
  std::thread names([&] {
    while (!stop) {
      const auto made = branch->Make(branch->root(), "temporary", {.mode = S_IFREG | 0600});
      if (!made.ok() || !branch->Unlink(branch->root(), "temporary").ok()) ++failures;
      if (!branch->Lookup(branch->root(), "first").ok()) ++failures;
    }
  });

  constexpr int kClones = 20;
  for (int i = 0; i < kClones; ++i) {
    const uint64_t seen = written;
    while (written < seen + 2) std::this_thread::yield();
    const uint64_t before = written;
    REQUIRE(fixture.Clone("main", "clone" + std::to_string(i)).ok());
    auto clone = fixture.Open("clone" + std::to_string(i));
    const uint64_t in_first = NumberIn(*clone, "first");
    const uint64_t in_second = NumberIn(*clone, "second");
    CHECK(in_second >= before);
    CHECK(in_first >= in_second);
    CHECK(in_first <= in_second + 1);
  }
  stop = true;
  writer.join();
  syncer.join();
  names.join();
  CHECK(failures == 0);

  // What the clones saw then, they see after a crash.
  std::vector<uint64_t> numbers;
  for (int i = 0; i < kClones; ++i) {
    numbers.push_back(NumberIn(*fixture.Open("clone" + std::to_string(i)), "first"));
  }
  branch.reset();
  fixture.Crash();
  for (int i = 0; i < kClones; ++i) {
    CHECK(NumberIn(*fixture.Open("clone" + std::to_string(i)), "first") ==
          numbers[static_cast<size_t>(i)]);
  }
}

TEST_CASE("cloning an idle branch makes no layers in between") {
  VolumeFixture fixture;
  fixture.MakeSource("main", {{"file", "content"}});
  const LayerId head = fixture.HeadOf("main");
  for (int i = 0; i < 5; ++i) REQUIRE(fixture.Clone("main", "clone" + std::to_string(i)).ok());
  CHECK(fixture.HeadOf("main") == head);
  CHECK(fixture.Open("clone4")->Layers().size() == 2);
}

TEST_CASE("a name that is removed after a freeze stays in the clone") {
  VolumeFixture fixture;
  fixture.MakeSource("main", {{"old", "content"}});
  auto branch = fixture.Open("main");
  MakeFile(*branch, "new");
  REQUIRE(fixture.Clone("main", "clone").ok());
  REQUIRE(branch->Unlink(branch->root(), "old").ok());
  REQUIRE(branch->Unlink(branch->root(), "new").ok());
  branch.reset();
  fixture.Reopen();
  CHECK_FALSE(InodeOf(*fixture.Open("main"), "old"));
  CHECK_FALSE(InodeOf(*fixture.Open("main"), "new"));
  CHECK(ContentOf(*fixture.Open("clone"), "old") == "content");
  CHECK(ContentOf(*fixture.Open("clone"), "new").empty());
}

TEST_CASE("a name that is removed, made anew and removed again does not bring the first one back") {
  VolumeFixture fixture;
  fixture.MakeSource("main", {{"file", "content"}});
  auto branch = fixture.Open("main");
  for (int round = 0; round < 2; ++round) {
    REQUIRE(branch->Unlink(branch->root(), "file").ok());
    MakeFile(*branch, "file");
    REQUIRE(fixture.Clone("main", "clone" + std::to_string(round)).ok());
  }
  REQUIRE(branch->Unlink(branch->root(), "file").ok());
  branch.reset();
  fixture.Reopen();
  CHECK_FALSE(InodeOf(*fixture.Open("main"), "file"));
  CHECK(ContentOf(*fixture.Open("clone0"), "file").empty());
}

TEST_CASE("names that come and go leave nothing behind") {
  VolumeFixture fixture;
  fixture.MakeSource("main", {});
  auto branch = fixture.Open("main");
  for (int i = 0; i < 50; ++i) {
    const std::string name = "temporary" + std::to_string(i);
    const InodeNumber ino = MakeFile(*branch, name);
    REQUIRE(branch->Write(ino, 0, BytesOf("something")).ok());
    REQUIRE(branch->Unlink(branch->root(), name).ok());
  }
  branch.reset();
  REQUIRE(fixture.volume().SyncAll().ok());
  const LayerId head = fixture.HeadOf("main");
  CHECK(os::HostStorage().List(fixture.LayerDirectory(head))->empty());
  REQUIRE(fixture.catalog()
              .Read([&](catalog::Reader& reader) -> Status {
                VELAFS_ASSIGN(const auto row, reader.Branch("main"));
                VELAFS_ASSIGN(const auto names, reader.Names(head, row->root));
                CHECK(names.empty());
                return {};
              })
              .ok());
}

TEST_CASE("a file that was unlinked while the kernel refers to it lives until it forgets") {
  VolumeFixture fixture;
  fixture.MakeSource("main", {{"file", "content"}});
  auto branch = fixture.Open("main");
  const InodeNumber ino = InodeOf(*branch, "file");
  branch->Retain(ino, 2);
  REQUIRE(branch->Unlink(branch->root(), "file").ok());
  REQUIRE(fixture.Clone("main", "clone").ok());  // a freeze in between changes nothing for it
  REQUIRE(branch->Write(ino, 7, BytesOf(" more")).ok());
  branch->Forget(ino, 1);
  std::string content(12, '?');
  REQUIRE(branch->Read(ino, 0, std::as_writable_bytes(std::span(content))).ok());
  CHECK(content == "content more");
  CHECK(branch->Get(ino)->nlink == 0);
  branch->Forget(ino, 1);
  CHECK(branch->Get(ino).status().error_number() == ESTALE);
}

TEST_CASE("a removed branch answers ESTALE and gives its space back") {
  VolumeFixture fixture;
  fixture.MakeSource("main", {{"file", std::string(5 * kPageBytes, 'x')}});
  REQUIRE(fixture.Clone("main", "clone").ok());
  auto clone = fixture.Open("clone");
  const InodeNumber ino = InodeOf(*clone, "file");
  REQUIRE(clone->Write(ino, 0, BytesOf("mine")).ok());
  REQUIRE(clone->Sync(ino, os::SyncKind::kFull).ok());
  const LayerId head = fixture.HeadOf("clone");
  CHECK(fixture.volume().Usage("clone")->own_bytes >= kPageBytes);
  REQUIRE(fixture.volume().Remove("clone", [](catalog::Writer&) { return Status(); }).ok());
  CHECK(clone->Write(ino, 0, BytesOf("more")).error_number() == ESTALE);
  CHECK(clone->Get(ino).status().error_number() == ESTALE);
  CHECK(os::HostStorage().Stat(fixture.LayerDirectory(head)).status().error_number() == ENOENT);
  CHECK(ContentOf(*fixture.Open("main"), "file")[0] == 'x');
}

const std::string kBefore(4 * kPageBytes, 'o');
const std::string kAfter(2 * kPageBytes, 'n');

// Freezes a branch whose "file" is written while the first sync of the freeze is under way, so that
// only the second sync is to cover that. Before that one has come to "file", `change` runs, and
// then the power is cut. Returns what file `name` is afterwards.
std::string ContentAfterCut(const std::function<Status(Branch&, InodeNumber)>& change,
                            const std::string& name) {
  const std::string directory = "/disk/store";
  test::VolatileStorage disk(1);
  disk.MakeDurableDirectories(directory);
  const test::StorageForSqlite sqlite(directory, disk);
  std::string awaited;  // the page file that is synced first
  std::vector<std::function<void()>> steps;
  const auto take_step = [&](const std::string& path) {
    if (path != awaited || steps.empty()) return Status();
    const std::string now = std::exchange(awaited, "");
    steps.front()();
    steps.erase(steps.begin());
    awaited = now;
    return Status();
  };
  test::HookedStorage storage(take_step, disk);
  VolumeFixture volume(storage, directory);
  volume.MakeSource("main", {{"file", kBefore}, {"a", "synced first"}});
  auto branch = volume.Open("main");
  const InodeNumber first = InodeOf(*branch, "a");
  const InodeNumber ino = InodeOf(*branch, "file");
  REQUIRE(first < ino);
  REQUIRE(WriteNumber(*branch, first, 1).ok());
  awaited = volume.LayerDirectory(volume.HeadOf("main")) + "/" + std::to_string(first.value);
  const auto write_late = [&] {
    REQUIRE(WriteNumber(*branch, first, 2).ok());
    REQUIRE(branch->Set(ino, {.size_bytes = 0}).ok());
    REQUIRE(branch->Write(ino, 0, BytesOf(kAfter)).ok());
  };
  const auto change_and_cut = [&] {
    REQUIRE(change(*branch, ino).ok());
    REQUIRE(volume.catalog().MakeDurable(volume.catalog().LastCommit()).ok());
    disk.CutOff();
  };
  steps = {write_late, change_and_cut};
  CHECK_FALSE(volume.Clone("main", "clone").ok());
  REQUIRE(steps.empty());
  branch.reset();
  volume.CloseAll();
  disk.PowerOn(100);
  volume.OpenAll();
  return ContentOf(*volume.Open("main"), name);
}

// DURABILITY.md 2, 5.
TEST_CASE(
    "a file whose row changes within a freeze is after a power cut what it was at some time") {
  const auto check = [](const std::string& name, const std::string& content) {
    const bool was_ever = content == kBefore || content == kAfter;
    CHECK_MESSAGE(was_ever, name, " has ", content.size(), " bytes, '", content.substr(0, 1), "'");
  };
  const auto rename = [](Branch& branch, InodeNumber) {
    return branch.Rename(branch.root(), "file", branch.root(), "moved", RenameMode::kReplace);
  };
  check("moved", ContentAfterCut(rename, "moved"));
  const auto link = [](Branch& branch, InodeNumber ino) {
    return branch.Link(ino, branch.root(), "linked").status();
  };
  check("linked", ContentAfterCut(link, "linked"));
  const auto set_mode = [](Branch& branch, InodeNumber ino) {
    return branch.Set(ino, {.mode = 0640}).status();
  };
  check("file", ContentAfterCut(set_mode, "file"));
  const auto unlink = [](Branch& branch, InodeNumber ino) {
    VELAFS_TRY(branch.Link(ino, branch.root(), "linked").status());
    return branch.Unlink(branch.root(), "file");
  };
  check("linked", ContentAfterCut(unlink, "linked"));
}

}  // namespace
}  // namespace velafs::layer
