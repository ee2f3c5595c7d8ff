// What a head looks like when its daemon died. Numbers are DURABILITY.md's invariants.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <future>
#include <thread>

#include "tests/layer/merge_fixture.h"
#include "tests/os/volatile_storage.h"
#include "tests/sql/storage_vfs.h"
#include "tests/store/hooked_storage.h"
#include "velafs/layer/layer.h"

namespace velafs::layer {
namespace {

const std::string kFrozenContent(4 * kPageBytes, 'o');

std::string PagePath(VolumeFixture& fixture, InodeNumber ino) {
  return fixture.LayerDirectory(fixture.HeadOf("main")) + "/" + std::to_string(ino.value);
}

// As a layer is noted until it is closed cleanly, or its freeze has reached its end.
void NoteUnsettled(VolumeFixture& fixture, LayerId layer) {
  const auto noted = fixture.catalog().Write([layer](catalog::Writer& writer) {
    VELAFS_TRY(writer.SetLayerLogicalBytes(layer, std::nullopt));
    return writer.SetLayerSettled(layer, false);
  });
  REQUIRE(noted.ok());
}

catalog::LayerRow RowOf(VolumeFixture& fixture, LayerId layer) {
  catalog::LayerRow row;
  REQUIRE(fixture.catalog()
              .Read([&](catalog::Reader& reader) -> Status {
                VELAFS_ASSIGN(row, reader.Layer(layer));
                return {};
              })
              .ok());
  return row;
}

// 10.
TEST_CASE("what is frozen after an unclean end is settled, as at any other time") {
  VolumeFixture fixture;
  fixture.MakeSource("main", {{"file", kFrozenContent}});
  const InodeNumber ino = InodeOf(*fixture.Open("main"), "file");
  const auto write = [&] { return fixture.Open("main")->Write(ino, 0, BytesOf("new")); };
  REQUIRE(write().ok());
  fixture.Crash();
  REQUIRE(write().ok());
  const LayerId frozen = fixture.HeadOf("main");
  REQUIRE(fixture.Clone("main", "dev").ok());
  const catalog::LayerRow row = RowOf(fixture, frozen);
  CHECK(row.is_settled);
  CHECK(row.logical_bytes == kFrozenContent.size());
}

// 10.
TEST_CASE("layers that a crash has left unsettled are settled, counted and merged") {
  MergeFixture fixture;
  fixture.MakeTwoLayers();
  const auto seen = fixture.TreeOf("main");
  fixture.Reopen();
  std::vector<LayerId> frozen;
  for (const auto& layer : fixture.Open("main")->Layers()) {
    if (layer->id() != fixture.HeadOf("main") && layer->IsOnDisk()) frozen.push_back(layer->id());
  }
  REQUIRE(frozen.size() == 2);
  for (const LayerId layer : frozen) NoteUnsettled(fixture, layer);
  fixture.Crash();
  CHECK(fixture.MergeAll() == 0);
  REQUIRE(SettleLayers(fixture.volume(), [] { return true; }).ok());
  for (const LayerId layer : frozen) {
    CHECK(RowOf(fixture, layer).is_settled);
    CHECK(RowOf(fixture, layer).logical_bytes);
  }
  CHECK(fixture.MergeAll() == 1);
  CHECK(fixture.TreeOf("main") == seen);
}

TEST_CASE(
    "a file that a crash cut short below a row with its size reads as zeros there, sealed too") {
  MergeFixture fixture;
  fixture.Write("main", "born", 0, '1', 4);
  const LayerId frozen = fixture.HeadOf("main");
  const std::string page_file = PagePath(fixture, InodeOf(*fixture.Open("main"), "born"));
  fixture.Freeze();
  REQUIRE(fixture.Open("main")->Set(InodeOf(*fixture.Open("main"), "born"), {.mode = 0640}).ok());
  fixture.Reopen();
  std::filesystem::resize_file(page_file, 0);
  NoteUnsettled(fixture, frozen);
  fixture.Crash();
  REQUIRE(ContentOf(*fixture.Open("main"), "born") == Pages('\0', 4));
  REQUIRE(SettleLayers(fixture.volume(), [] { return true; }).ok());
  REQUIRE(*fixture.Seal());
  CHECK(ContentOf(*fixture.Open("main"), "born") == Pages('\0', 4));
  fixture.Reopen();
  CHECK(ContentOf(*fixture.Open("main"), "born") == Pages('\0', 4));
}

// 5, 10.
TEST_CASE("every layer that a crash has left unsettled is recovered, however far below the head") {
  MergeFixture fixture;
  fixture.Write("main", "born", 0, '1', 4);
  const LayerId lowest = fixture.HeadOf("main");
  const std::string page_file = PagePath(fixture, InodeOf(*fixture.Open("main"), "born"));
  fixture.Freeze();
  fixture.Write("main", "both", 0, '2');
  fixture.Freeze();
  fixture.Write("main", "both", 1, '3');
  fixture.Reopen();
  std::filesystem::remove(page_file);
  NoteUnsettled(fixture, lowest);
  fixture.Crash();
  for (const auto& layer : fixture.Open("main")->Layers()) CHECK(layer->is_settled());
  CHECK(std::filesystem::exists(page_file));
}

TEST_CASE("the recovery of one branch holds up the opening of no other") {
  std::promise<void> is_recovering;
  std::atomic<bool> is_other_open = false;
  std::string awaited;
  bool has_waited_in_vain = false;
  test::HookedStorage storage([&](const std::string& path) -> Status {
    if (path != awaited) return {};
    awaited.clear();
    is_recovering.set_value();
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!is_other_open && !has_waited_in_vain) {
      has_waited_in_vain = std::chrono::steady_clock::now() > until;
      std::this_thread::yield();
    }
    return {};
  });
  VolumeFixture fixture(storage);
  fixture.MakeSource("main", {{"file", kFrozenContent}});
  fixture.MakeSource("other", {{"file", kFrozenContent}});
  const InodeNumber ino = InodeOf(*fixture.Open("main"), "file");
  REQUIRE(fixture.Open("main")->Write(ino, 0, BytesOf("new")).ok());
  REQUIRE(fixture.Open("main")->Sync(ino, os::SyncKind::kFull).ok());
  const std::string page_file = PagePath(fixture, ino);
  fixture.Crash();
  awaited = page_file;
  std::thread opening([&] { CHECK(fixture.volume().Open("main").ok()); });
  is_recovering.get_future().wait();
  CHECK(fixture.volume().Open("other").ok());
  is_other_open = true;
  opening.join();
  CHECK_FALSE(has_waited_in_vain);
  CHECK(ContentOf(*fixture.Open("main"), "file").substr(0, 3) == "new");
}

TEST_CASE("what is frozen already is settled while its freeze goes on") {
  VolumeFixture fixture;
  fixture.MakeSource("main", {{"file", kFrozenContent}});
  const InodeNumber ino = InodeOf(*fixture.Open("main"), "file");
  REQUIRE(fixture.Open("main")->Write(ino, 0, BytesOf("new")).ok());
  const LayerId frozen = fixture.HeadOf("main");
  const Status refused = fixture.volume().Freeze(
      "main", [](catalog::Writer&, LayerId) { return Refused("the clone was refused"); });
  REQUIRE(refused.code() == Code::kRefused);
  REQUIRE_FALSE(RowOf(fixture, frozen).is_settled);
  REQUIRE(SettleLayers(fixture.volume(), [] { return true; }).ok());
  CHECK(RowOf(fixture, frozen).is_settled);
  fixture.Crash();
  CHECK(ContentOf(*fixture.Open("main"), "file").substr(0, 3) == "new");
}

// 2.
TEST_CASE("changes to an inherited file that no fsync reached are undone by a crash") {
  VolumeFixture fixture;
  fixture.MakeSource("main", {{"file", kFrozenContent}});
  const InodeNumber ino = InodeOf(*fixture.Open("main"), "file");
  REQUIRE(fixture.Open("main")->Write(ino, 100, BytesOf("new")).ok());
  fixture.Crash();
  CHECK(ContentOf(*fixture.Open("main"), "file") == kFrozenContent);
  CHECK(os::HostStorage().Stat(PagePath(fixture, ino)).status().error_number() == ENOENT);
}

// 2. The row that the change of a name writes is durable, and the page file is not.
void CheckSizeAfterCrash(uint64_t new_size_bytes, bool has_row_of_before) {
  VolumeFixture fixture;
  fixture.MakeSource("main", {{"file", kFrozenContent}});
  {
    const auto main = fixture.Open("main");
    const InodeNumber ino = InodeOf(*main, "file");
    if (has_row_of_before) REQUIRE(main->Set(ino, {.mode = 0640}).ok());
    REQUIRE(main->Set(ino, {.size_bytes = new_size_bytes}).ok());
    main->BeginRound();
    REQUIRE(main->DropIdle(1) > 0);
    REQUIRE(main->Rename(main->root(), "file", main->root(), "new", RenameMode::kReplace).ok());
    REQUIRE(main->Sync(main->root(), os::SyncKind::kFull).ok());
  }
  fixture.Crash();
  const bool is_as_before = ContentOf(*fixture.Open("main"), "new") == kFrozenContent;
  CHECK_MESSAGE(is_as_before, "resized to ", new_size_bytes);
}

TEST_CASE("a change that no fsync reached is undone, though the file left memory meanwhile") {
  for (const bool has_row_of_before : {false, true}) {
    CheckSizeAfterCrash(0, has_row_of_before);
    CheckSizeAfterCrash(kFrozenContent.size() / 2, has_row_of_before);
    CheckSizeAfterCrash(kFrozenContent.size() * 2, has_row_of_before);
  }
}

// 1, 3.
TEST_CASE(
    "what fsync has returned for survives a crash, and what came after is all or nothing by page") {
  VolumeFixture fixture;
  fixture.MakeSource("main", {{"file", kFrozenContent}});
  const InodeNumber ino = InodeOf(*fixture.Open("main"), "file");
  REQUIRE(fixture.Open("main")->Write(ino, 0, BytesOf("kept")).ok());
  REQUIRE(fixture.Open("main")->Sync(ino, os::SyncKind::kData).ok());
  REQUIRE(fixture.Open("main")->Write(ino, 2 * kPageBytes, BytesOf("lost")).ok());
  fixture.Crash();
  std::string expected = kFrozenContent;
  expected.replace(0, 4, "kept");
  CHECK(ContentOf(*fixture.Open("main"), "file") == expected);
}

TEST_CASE(
    "what a truncation took away does not come back when the file grows again after a crash") {
  VolumeFixture fixture;
  fixture.MakeSource("main", {{"file", kFrozenContent}});
  const InodeNumber ino = InodeOf(*fixture.Open("main"), "file");
  REQUIRE(fixture.Open("main")->Write(ino, 0, BytesOf("kept")).ok());
  REQUIRE(fixture.Open("main")->Sync(ino, os::SyncKind::kData).ok());
  REQUIRE(fixture.Open("main")->Set(ino, {.size_bytes = kPageBytes}).ok());
  fixture.Crash();  // the page file is short now, and its durable map still inherits four pages
  REQUIRE(ContentOf(*fixture.Open("main"), "file").size() == kPageBytes);
  REQUIRE(fixture.Open("main")->Set(ino, {.size_bytes = 3 * kPageBytes}).ok());
  fixture.Crash();
  std::string expected(3 * kPageBytes, '\0');
  expected.replace(0, kPageBytes, kFrozenContent.substr(0, kPageBytes));
  expected.replace(0, 4, "kept");
  CHECK(ContentOf(*fixture.Open("main"), "file") == expected);
}

TEST_CASE("a map left without its page file is not taken for a later one's") {
  VolumeFixture fixture;
  fixture.MakeSource("main", {{"file", kFrozenContent}});
  const InodeNumber ino = InodeOf(*fixture.Open("main"), "file");
  REQUIRE(fixture.Open("main")->Write(ino, 0, BytesOf("gone")).ok());
  REQUIRE(fixture.Open("main")->Sync(ino, os::SyncKind::kData).ok());
  fixture.Reopen();
  REQUIRE(os::HostStorage().RemoveFile(PagePath(fixture, ino)).ok());
  NoteUnsettled(fixture, fixture.HeadOf("main"));
  fixture.Crash();
  REQUIRE(fixture.Open("main")->Write(ino, kPageBytes, BytesOf("mine")).ok());
  fixture.Reopen();
  std::string expected = kFrozenContent;
  expected.replace(kPageBytes, 4, "mine");
  CHECK(ContentOf(*fixture.Open("main"), "file") == expected);
}

// What a freeze leaves when a power cut comes between its transaction and its last sync: a page
// file in a frozen layer, and of its map nothing, or no more than the file's name or size.
TEST_CASE("a page file in a frozen layer counts only with its map") {
  std::string map_content;
  bool is_missing = false;
  bool is_further_below = false;
  SUBCASE("missing") { is_missing = true; }
  SUBCASE("empty") {}
  SUBCASE("of zeros") { map_content.assign(1024, '\0'); }
  SUBCASE("empty, in a layer further below") { is_further_below = true; }
  VolumeFixture fixture;
  fixture.MakeSource("main", {{"file", kFrozenContent}});
  const InodeNumber ino = InodeOf(*fixture.Open("main"), "file");
  REQUIRE(fixture.Open("main")->Write(ino, 0, BytesOf("lost")).ok());
  const LayerId frozen = fixture.HeadOf("main");
  const std::string map_path = PagePath(fixture, ino) + ".map";
  REQUIRE(fixture.Clone("main", "clone").ok());
  std::string expected = kFrozenContent;
  if (is_further_below) {
    REQUIRE(fixture.Open("main")->Write(ino, kPageBytes, BytesOf("kept")).ok());
    REQUIRE(fixture.Clone("main", "another").ok());
    expected.replace(kPageBytes, 4, "kept");
  }
  if (is_missing) {
    REQUIRE(os::HostStorage().RemoveFile(map_path).ok());
  } else {
    std::ofstream(map_path, std::ios::trunc) << map_content;
  }
  NoteUnsettled(fixture, frozen);
  fixture.Crash();
  CHECK(ContentOf(*fixture.Open("clone"), "file") == kFrozenContent);
  CHECK(ContentOf(*fixture.Open("main"), "file") == expected);
}

// 6.
TEST_CASE("a head in use does not pass for clean, and one that was closed does") {
  VolumeFixture fixture;
  fixture.MakeSource("main", {{"file", kFrozenContent}});
  const auto head = [&] { return RowOf(fixture, fixture.HeadOf("main")); };
  const InodeNumber ino = InodeOf(*fixture.Open("main"), "file");
  REQUIRE(fixture.Open("main")->Write(ino, kFrozenContent.size(), BytesOf("more")).ok());
  CHECK_FALSE(head().is_settled);
  CHECK_FALSE(head().logical_bytes);
  CHECK(fixture.catalog().LastDurable() >= 1);
  fixture.Reopen();
  CHECK(head().is_settled);
  CHECK(head().logical_bytes == kFrozenContent.size() + 4);
}

TEST_CASE("a damaged map is reported, not read") {
  VolumeFixture fixture;
  fixture.MakeSource("main", {{"file", kFrozenContent}});
  const InodeNumber ino = InodeOf(*fixture.Open("main"), "file");
  REQUIRE(fixture.Open("main")->Write(ino, 0, BytesOf("new")).ok());
  fixture.Reopen();
  std::fstream map(PagePath(fixture, ino) + ".map", std::ios::in | std::ios::out);
  map.seekp(513);
  map.put('!');
  map.close();
  const auto found = fixture.Open("main")->Lookup(fixture.Open("main")->root(), "file");
  CHECK(found.status().code() == Code::kCorrupt);
  CHECK(found.status().error_number() == EIO);
  CHECK(found.status().message().find("block 1 of the page map is damaged") != std::string::npos);
}

// A volume on a disk that loses whatever was not synced.
struct VolatileFixture {
  static constexpr const char* kDirectory = "/disk/store";

  VolatileFixture() { volume.MakeSource("main", {{"file", kFrozenContent}}); }
  test::VolatileStorage& Prepared() {
    disk.MakeDurableDirectories(kDirectory);
    return disk;
  }
  // The daemon dies, and is started again on the same host.
  void Kill() {
    disk.CutOff();
    volume.CloseAll();
    disk.Restart();
    volume.OpenAll();
  }
  void CutPower() {
    disk.CutOff();
    volume.CloseAll();
    disk.PowerOn(100);
    volume.OpenAll();
  }

  test::VolatileStorage disk{1};
  test::StorageForSqlite sqlite{kDirectory, Prepared()};
  VolumeFixture volume{disk, kDirectory};
};

// 9.
TEST_CASE("what was there after the daemon died is there after a power cut that follows") {
  VolatileFixture fixture;
  const InodeNumber ino = MakeFile(*fixture.volume.Open("main"), "new");
  REQUIRE(fixture.volume.Open("main")->Write(ino, 0, BytesOf("seen")).ok());
  fixture.Kill();
  REQUIRE(ContentOf(*fixture.volume.Open("main"), "new") == "seen");
  fixture.CutPower();
  CHECK(ContentOf(*fixture.volume.Open("main"), "new") == "seen");
}

// 10.
TEST_CASE("what recovery has thrown away does not come back under a number given again") {
  VolatileFixture fixture;
  const auto branch = fixture.volume.Open("main");
  const InodeNumber lost = MakeFile(*branch, "lost");
  REQUIRE(branch->Write(lost, 0, BytesOf("nobody's")).ok());
  // Its page file and that one's name reach the disk, but not the transaction.
  const LayerId head = fixture.volume.HeadOf("main");
  const auto file = fixture.disk.Open(
      fixture.volume.LayerDirectory(head) + "/" + std::to_string(lost.value), os::OpenMode::kRead);
  REQUIRE((*file)->Sync(os::SyncKind::kFull).ok());
  REQUIRE(fixture.disk.SyncDirectory(fixture.volume.LayerDirectory(head)).ok());
  REQUIRE(fixture.disk.SyncDirectory(fixture.volume.directory() + "/layers").ok());
  fixture.CutPower();

  const InodeNumber given_again = MakeFile(*fixture.volume.Open("main"), "mine");
  REQUIRE(given_again == lost);
  REQUIRE(fixture.volume.catalog().MakeDurable(fixture.volume.catalog().LastCommit()).ok());
  fixture.CutPower();
  CHECK(ContentOf(*fixture.volume.Open("main"), "mine").empty());
}

}  // namespace
}  // namespace velafs::layer
