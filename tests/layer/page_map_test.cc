#include "velafs/layer/page_map.h"

#include <doctest/doctest.h>

#include <cstring>

#include "tests/os/scratch_directory.h"

namespace velafs::layer {
namespace {

using test::ScratchDirectory;

const LayerId kLayer(3);
const InodeNumber kIno(7);

// What a map file holds after the map's changes have been written to it.
void Store(PageMap& map, std::vector<std::byte>& file) {
  for (const PageMap::DirtyBlock& block : map.TakeDirty()) {
    file.resize(std::max<size_t>(file.size(), block.offset_bytes + block.content.size()));
    std::memcpy(file.data() + block.offset_bytes, block.content.data(), block.content.size());
  }
}

TEST_CASE("a page is held once it is claimed, or begins past what is inherited") {
  PageMap map(kLayer, kIno, 10 * kPageBytes + 1);
  CHECK_FALSE(map.RunAt(PageNumber(0), 1).held);
  CHECK(map.RunAt(PageNumber(0), 100).pages == 11);
  CHECK(map.RunAt(PageNumber(11), 5).held);
  map.ClaimPages(PageNumber(3), 2);
  CHECK(map.RunAt(PageNumber(0), 100).pages == 3);
  CHECK(map.RunAt(PageNumber(3), 100).held);
  CHECK(map.RunAt(PageNumber(3), 100).pages == 2);
  CHECK_FALSE(map.RunAt(PageNumber(5), 100).held);
}

TEST_CASE("a run that reaches what is not inherited goes on to its limit") {
  PageMap map(kLayer, kIno, 4 * kPageBytes);
  map.ClaimPages(PageNumber(2), 2);
  CHECK(map.RunAt(PageNumber(2), 1000).pages == 1000);
}

TEST_CASE("runs across words and blocks are found whole") {
  PageMap map(kLayer, kIno, 20'000 * kPageBytes);
  map.ClaimPages(PageNumber(60), 9'000);
  CHECK(map.RunAt(PageNumber(0), 20'000).pages == 60);
  CHECK(map.RunAt(PageNumber(60), 20'000).pages == 9'000);
  CHECK(map.RunAt(PageNumber(9'060), 20'000).pages == 20'000 - 9'060);
}

TEST_CASE("hiding is for good") {
  PageMap map(kLayer, kIno, 100 * kPageBytes);
  map.HideFrom(50 * kPageBytes);
  map.HideFrom(80 * kPageBytes);
  CHECK(map.inherited_bytes() == 50 * kPageBytes);
  CHECK(map.RunAt(PageNumber(50), 1).held);
}

TEST_CASE("a map written block by block is read back the same") {
  PageMap map(kLayer, kIno, 20'000 * kPageBytes);
  std::vector<std::byte> file;
  map.ClaimPages(PageNumber(5), 1);
  Store(map, file);
  map.ClaimPages(PageNumber(12'345), 700);
  Store(map, file);
  CHECK(map.TakeDirty().empty());
  const auto decoded = PageMap::Decode(kLayer, kIno, file);
  REQUIRE(decoded.ok());
  CHECK(decoded->inherited_bytes() == map.inherited_bytes());
  for (PageNumber page; page < PageNumber(20'000); ++page) {
    REQUIRE(decoded->RunAt(page, 1).held == map.RunAt(page, 1).held);
  }
}

TEST_CASE("a map is read from a file without its holes") {
  ScratchDirectory directory;
  constexpr uint64_t kHuge = uint64_t{60} << 40;
  PageMap map(kLayer, kIno, kHuge);
  map.ClaimPages(PageNumber(7), 1);
  map.ClaimPages(PageNumber::At(kHuge) - 5, 2);
  const auto file = *os::HostStorage().Open(directory / "7.map", os::OpenMode::kCreate);
  for (const PageMap::DirtyBlock& block : map.TakeDirty()) {
    REQUIRE(file->Write(block.offset_bytes, block.content).ok());
  }
  CHECK(file->Stat()->allocated_bytes < 1 << 20);
  auto loaded = PageMap::Load(kLayer, kIno, *file);
  REQUIRE(loaded.ok());
  CHECK(loaded->inherited_bytes() == kHuge);
  CHECK(loaded->RunAt(PageNumber(0), kHuge).pages == 7);
  CHECK(loaded->RunAt(PageNumber(7), kHuge).held);
  CHECK(loaded->RunAt(PageNumber(8), kHuge).pages == kHuge / kPageBytes - 5 - 8);
  CHECK(loaded->RunAt(PageNumber::At(kHuge) - 5, 2).pages == 2);
  CHECK_FALSE(loaded->RunAt(PageNumber::At(kHuge) - 3, 1).held);
  CHECK(loaded->TakeDirty().empty());
}

TEST_CASE("a damaged block far behind a hole is found") {
  ScratchDirectory directory;
  PageMap map(kLayer, kIno, uint64_t{1} << 40);
  map.ClaimPages(PageNumber::At(uint64_t{1} << 40) - 1, 1);
  const auto file = *os::HostStorage().Open(directory / "7.map", os::OpenMode::kCreate);
  for (PageMap::DirtyBlock& block : map.TakeDirty()) {
    if (block.offset_bytes > 0) block.content[0] ^= std::byte{1};
    REQUIRE(file->Write(block.offset_bytes, block.content).ok());
  }
  const auto loaded = PageMap::Load(kLayer, kIno, *file);
  CHECK(loaded.status().code() == Code::kCorrupt);
  CHECK(loaded.status().message().find("of the page map is damaged") != std::string::npos);
}

TEST_CASE("a map that is damaged, short, another's or of a later version is refused in words") {
  PageMap map(kLayer, kIno, 9'000 * kPageBytes);
  map.ClaimPages(PageNumber(8'999), 1);
  std::vector<std::byte> file;
  Store(map, file);
  const auto message = [](const std::vector<std::byte>& content, LayerId layer = kLayer) {
    const auto decoded = PageMap::Decode(layer, kIno, content);
    CHECK(decoded.status().code() == Code::kCorrupt);
    return decoded.status().message();
  };
  const auto flipped = [&](size_t at) {
    auto content = file;
    content[at] ^= std::byte{1};
    return content;
  };
  CHECK(message(flipped(0)) == "the page map's header is damaged");
  CHECK(message(flipped(200)) == "the page map's header is damaged");
  CHECK(message(flipped(file.size() - 100)) == "block 3 of the page map is damaged");
  CHECK(message({file.begin(), file.begin() + 100}) == "the page map is shorter than its header");
  CHECK(message(file, LayerId(4)) == "the page map belongs to another file");
}

TEST_CASE("pages are claimed by the thousand million") {
  constexpr uint64_t kPages = (uint64_t{15} << 40) / kPageBytes;
  constexpr PageNumber kEnd(kPages);
  PageMap map(kLayer, kIno, kEnd.OffsetBytes());
  map.ClaimPages(PageNumber(70), 3);
  map.ClaimPages(PageNumber(63), kPages - 63 - 70);
  CHECK_FALSE(map.RunAt(PageNumber(62), 1).held);
  CHECK(map.RunAt(PageNumber(0), kPages).pages == 63);
  CHECK(map.RunAt(PageNumber(63), kPages).held);
  CHECK(map.RunAt(PageNumber(63), kPages).pages == kPages - 63 - 70);
  CHECK_FALSE(map.RunAt(kEnd - 70, 1).held);
  CHECK(map.RunAt(kEnd - 70, kPages).pages == 70);
}

TEST_CASE("only blocks that change are written") {
  PageMap map(kLayer, kIno, 20'000 * kPageBytes);
  map.ClaimPages(PageNumber(0), 9'000);
  CHECK(map.TakeDirty().size() == 4);  // the header, too
  map.ClaimPages(PageNumber(100), 8'000);
  CHECK(map.TakeDirty().empty());
  map.ClaimPages(PageNumber(8'999), 2);
  CHECK(map.TakeDirty().size() == 1);
}

}  // namespace
}  // namespace velafs::layer
