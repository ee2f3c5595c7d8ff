#include "velafs/layer/page_file.h"

#include <cerrno>

#include "tests/layer/layer_fixture.h"

namespace velafs::layer {
namespace {

const InodeNumber kPagedIno(7);
const std::string kOnePage(kPageBytes, 'x');

TEST_CASE_FIXTURE(LayerFixture, "a page file without a map holds all pages, and inherits nothing") {
  const auto file = Create(kPagedIno, 0, std::nullopt);
  CHECK(file->inherited_bytes() == 0);
  CHECK(file->RunAt(PageNumber(0), 10).held);
  CHECK(file->RunAt(PageNumber(1000), 10).pages == 10);
  REQUIRE(WriteAt(*file, kPageBytes, kOnePage).ok());
  CHECK(ContentOf(*file, 0, 3 * kPageBytes) ==
        std::string(kPageBytes, '\0') + kOnePage + std::string(kPageBytes, '\0'));
}

TEST_CASE_FIXTURE(LayerFixture,
                  "a page file with a map holds what was claimed, and all past the end") {
  const auto file = Create(kPagedIno, 8 * kPageBytes, 8 * kPageBytes);
  CHECK_FALSE(file->RunAt(PageNumber(0), 8).held);
  REQUIRE(WriteAt(*file, 2 * kPageBytes, kOnePage).ok());
  file->ClaimPages(PageNumber(2), 1);
  CHECK(file->RunAt(PageNumber(0), 8).pages == 2);
  CHECK(file->RunAt(PageNumber(2), 6).held);
  CHECK(file->RunAt(PageNumber(2), 6).pages == 1);
  CHECK(file->RunAt(PageNumber(8), 3).held);
}

TEST_CASE_FIXTURE(LayerFixture, "what a truncation hides stays hidden when the file grows again") {
  const auto file = Create(kPagedIno, 8 * kPageBytes, 8 * kPageBytes);
  REQUIRE(file->Truncate(3 * kPageBytes).ok());
  REQUIRE(file->Truncate(8 * kPageBytes).ok());
  CHECK(file->inherited_bytes() == 3 * kPageBytes);
  CHECK_FALSE(file->RunAt(PageNumber(0), 8).held);
  CHECK(file->RunAt(PageNumber(0), 8).pages == 3);
  CHECK(file->RunAt(PageNumber(3), 5).held);
}

TEST_CASE_FIXTURE(LayerFixture, "punched pages are held, and read as zeros") {
  const auto file = Create(kPagedIno, 4 * kPageBytes, 4 * kPageBytes);
  REQUIRE(WriteAt(*file, kPageBytes, kOnePage).ok());
  file->ClaimPages(PageNumber(1), 1);
  REQUIRE(file->PunchPages(PageNumber(1), 2).ok());
  CHECK(file->RunAt(PageNumber(1), 3).pages == 2);
  CHECK(file->RunAt(PageNumber(1), 3).held);
  CHECK(ContentOf(*file, kPageBytes, kPageBytes) == std::string(kPageBytes, '\0'));
}

// DURABILITY.md 1, 2.
TEST_CASE_FIXTURE(LayerFixture, "pages and map are there after a power cut once they were synced") {
  {
    const auto file = Create(kPagedIno, 4 * kPageBytes, 4 * kPageBytes);
    CHECK(file->NeedsSync());
    REQUIRE(WriteAt(*file, kPageBytes, kOnePage).ok());
    file->ClaimPages(PageNumber(1), 1);
    REQUIRE(file->Sync(os::SyncKind::kData).ok());
    CHECK_FALSE(file->NeedsSync());
    REQUIRE(WriteAt(*file, 2 * kPageBytes, kOnePage).ok());
    file->ClaimPages(PageNumber(2), 1);
    CHECK(file->NeedsSync());
  }
  const auto after = AfterCut();
  const auto file = after->Find(kPagedIno, true);
  REQUIRE(file.ok());
  REQUIRE(*file);
  CHECK((*file)->RunAt(PageNumber(1), 3).held);
  CHECK((*file)->RunAt(PageNumber(1), 3).pages == 1);
  CHECK(ContentOf(**file, kPageBytes, kPageBytes) == kOnePage);
}

TEST_CASE_FIXTURE(LayerFixture,
                  "a page file that inherits is not there after a cut before its sync") {
  {
    const auto file = Create(kPagedIno, 4 * kPageBytes, 4 * kPageBytes);
    REQUIRE(WriteAt(*file, 0, kOnePage).ok());
  }
  const auto found = AfterCut()->Find(kPagedIno, true);
  REQUIRE(found.ok());
  CHECK_FALSE(*found);
}

TEST_CASE_FIXTURE(LayerFixture, "a clean page file is synced without I/O") {
  const auto file = Create(kPagedIno, 4 * kPageBytes, 4 * kPageBytes);
  REQUIRE(file->Sync(os::SyncKind::kFull).ok());
  const uint64_t before = disk.changes();
  CHECK(file->Sync(os::SyncKind::kFull).ok());
  CHECK(disk.changes() == before);
}

// DURABILITY.md 7.
TEST_CASE_FIXTURE(LayerFixture, "a change that failed is one to sync") {
  const auto file = Create(kPagedIno, kPageBytes, std::nullopt);
  const auto fails = [&](const std::function<Status()>& change) {
    REQUIRE(file->Sync(os::SyncKind::kData).ok());
    disk.FailAfter(0, EIO);
    CHECK_FALSE(change().ok());
    CHECK(file->NeedsSync());
  };
  fails([&] { return WriteAt(*file, 0, kOnePage); });
  fails([&] { return file->Truncate(0); });
  fails([&] { return file->Allocate({0, 10 * kPageBytes}, false); });
  fails([&] { return file->PunchPages(PageNumber(0), 1); });
}

TEST_CASE_FIXTURE(LayerFixture, "a sync that failed has failed for good, and the layer knows") {
  const auto file = Create(kPagedIno, kPageBytes, std::nullopt);
  disk.FailAfter(0, EIO);
  CHECK(file->Sync(os::SyncKind::kData).error_number() == EIO);
  CHECK(layer->has_failed());
  CHECK(file->Sync(os::SyncKind::kData).error_number() == EIO);
}

TEST_CASE_FIXTURE(LayerFixture, "a map that finds no room is written by the next sync") {
  {
    const auto file = Create(kPagedIno, 4 * kPageBytes, 4 * kPageBytes);
    REQUIRE(WriteAt(*file, 0, kOnePage).ok());
    file->ClaimPages(PageNumber(0), 1);
    disk.FailAfter(1, ENOSPC);  // after the pages
    CHECK(file->Sync(os::SyncKind::kData).error_number() == ENOSPC);
    CHECK_FALSE(layer->has_failed());
    CHECK(file->NeedsSync());
    REQUIRE(file->Sync(os::SyncKind::kData).ok());
  }
  const auto file = AfterCut()->Find(kPagedIno, true);
  REQUIRE(file.ok());
  REQUIRE(*file);
  CHECK((*file)->RunAt(PageNumber(0), 4).held);
}

TEST_CASE_FIXTURE(LayerFixture, "an abandoned page file is synced no more") {
  const auto file = Create(kPagedIno, kPageBytes, std::nullopt);
  file->Abandon();
  const uint64_t before = disk.changes();
  CHECK(file->Sync(os::SyncKind::kFull).ok());
  CHECK(disk.changes() == before);
}

}  // namespace
}  // namespace velafs::layer
