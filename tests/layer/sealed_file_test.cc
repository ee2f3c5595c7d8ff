#include "velafs/layer/sealed_file.h"

#include <string>
#include <vector>

#include "tests/catalog/catalog_fixture.h"
#include "tests/os/volatile_storage.h"

namespace velafs::layer {
namespace {

const InodeNumber kSealedIno(7);

std::string Filled(char fill, size_t pages) { return std::string(pages * kPageBytes, fill); }

struct SealedFixture : catalog::CatalogFixture {
  static constexpr char kPacks[] = "/disk/packs";

  SealedFixture() { disk.MakeDurableDirectories(kPacks); }

  // Stores a chunk in a pack of its own; of zeros when it is empty.
  ChunkId Store(const std::string& content) {
    if (content.empty()) return {};
    PackId pack;
    Write([&](catalog::Writer& writer) -> Status {
      VELAFS_ASSIGN(pack, writer.AddPack());
      return {};
    });
    const auto bytes = std::as_bytes(std::span(content));
    const ChunkId id = chunk::HashChunk(bytes);
    const auto writer = chunk::PackWriter::Create(disk, kPacks, pack);
    REQUIRE(writer.ok());
    const ChunkLocation location = (*writer)->Reserve(static_cast<uint32_t>(content.size()));
    REQUIRE((*writer)->Write(id, location, bytes).ok());
    REQUIRE((*writer)->Finish().ok());
    Write([&](catalog::Writer& writer) { return writer.PutChunk(id, location); });
    last_pack = pack;
    return id;
  }
  void Put(uint64_t part, const catalog::ManifestPartRow& row) {
    Write([&](catalog::Writer& writer) {
      return writer.PutManifestPart(layer, kSealedIno, part, row);
    });
  }
  static Result<std::string> ReadAt(SealedFile& file, uint64_t offset_bytes, size_t bytes) {
    std::string content(bytes, '?');
    VELAFS_TRY(file.Read(offset_bytes, std::as_writable_bytes(std::span(content))));
    return content;
  }

  test::VolatileStorage disk{1};
  chunk::PackReader packs{disk, kPacks};
  const LayerId layer = AddLayer({}, catalog::LayerState::kSealed);
  PackId last_pack;
  SealedFile whole{*catalog, packs, layer, kSealedIno, 0};
};

TEST_CASE_FIXTURE(SealedFixture, "a whole file holds all pages, and is read across its chunks") {
  Put(0, {{Store(Filled('a', 8)), Store(""), Store(Filled('c', 3))}, {}});
  CHECK(whole.RunAt(PageNumber(0), 100).ok());
  CHECK(whole.RunAt(PageNumber(0), 100)->held);
  CHECK(whole.RunAt(PageNumber(0), 100)->pages == 100);
  CHECK(*ReadAt(whole, 7 * kPageBytes, 10 * kPageBytes) ==
        Filled('a', 1) + Filled('\0', 8) + Filled('c', 1));
  // A chunk is as short as the file was; what follows is zeros.
  CHECK(*ReadAt(whole, 18 * kPageBytes, 4 * kPageBytes) == Filled('c', 1) + Filled('\0', 3));
}

TEST_CASE_FIXTURE(SealedFixture, "data and holes of a file are those of its chunks") {
  Put(0, {{Store(Filled('a', 8)), Store(""), Store(""), Store(Filled('d', 8))}, {}});
  const uint64_t end = 6 * kChunkBytes;
  const auto extent = [&](uint64_t offset_bytes) {
    return *whole.ExtentAt(ByteRange::Between(offset_bytes, end));
  };
  CHECK(extent(100).is_data);
  CHECK(extent(100).length_bytes == kChunkBytes - 100);
  CHECK_FALSE(extent(kChunkBytes).is_data);
  CHECK(extent(kChunkBytes).length_bytes == 2 * kChunkBytes);
  CHECK(extent(3 * kChunkBytes).length_bytes == kChunkBytes);
  CHECK_FALSE(extent(4 * kChunkBytes).is_data);
  CHECK(extent(4 * kChunkBytes).length_bytes == end - 4 * kChunkBytes);
}

TEST_CASE_FIXTURE(SealedFixture,
                  "of a file with content below, the pages of its manifest are held") {
  // The chunk has the pages 1, 2 and 5 one after the other.
  Put(0, {{Store(Filled('1', 1) + Filled('2', 1) + Filled('5', 1)), Store(Filled('b', 8))},
          {0b00100110, 0xff}});
  Put(1, {});
  constexpr uint64_t kPart = catalog::kPartBytes / kPageBytes;
  SealedFile file(*catalog, packs, layer, kSealedIno, (kPart + 4) * kPageBytes);
  const auto check = [&](uint64_t page, bool held, uint64_t pages) {
    const auto run = file.RunAt(PageNumber(page), 100);
    REQUIRE(run.ok());
    CHECK_MESSAGE(run->held == held, page);
    CHECK_MESSAGE(run->pages == pages, page);
  };
  check(0, false, 1);
  check(1, true, 2);
  check(3, false, 2);
  check(5, true, 1);
  check(6, false, 2);
  check(8, true, 100);          // the rest of this part is zeros
  check(kPart, false, 4);       // a part of which nothing was sealed
  check(kPart + 4, true, 100);  // past what is inherited
  CHECK(*ReadAt(file, kPageBytes, 2 * kPageBytes) == Filled('1', 1) + Filled('2', 1));
  CHECK(*ReadAt(file, 5 * kPageBytes + 10, 20) == std::string(20, '5'));
  CHECK(file.HeldIn(0)->pages == 0b00100110);
  CHECK(file.HeldIn(1)->pages == 0xff);
  CHECK(file.HeldIn(2)->pages == 0xff);
  CHECK(file.HeldIn(catalog::kChunksPerPart)->pages == 0);
}

TEST_CASE_FIXTURE(SealedFixture, "each part of a file has a manifest of its own") {
  const ChunkId first = Store(Filled('a', 8));
  const ChunkId second = Store(Filled('b', 8));
  Put(0, {std::vector<ChunkId>(catalog::kChunksPerPart, first), {}});
  Put(1, {{second}, {}});
  CHECK(*ReadAt(whole, catalog::kPartBytes - 10, 20) ==
        std::string(10, 'a') + std::string(10, 'b'));
  CHECK(whole.ChunkIds(0)->size() == catalog::kChunksPerPart);
  CHECK(*whole.ChunkIds(1) == std::vector<ChunkId>{second});
}

TEST_CASE_FIXTURE(SealedFixture, "a chunk whose content is another one is corrupt, not read") {
  Put(0, {{Store(Filled('a', 8))}, {}});
  const auto file = disk.Open(chunk::PackPath(kPacks, last_pack), os::OpenMode::kReadWrite);
  REQUIRE(file.ok());
  const auto info = (*file)->Stat();
  REQUIRE(info.ok());
  REQUIRE((*file)->Write(info->size_bytes - 10, std::as_bytes(std::span("!", 1))).ok());
  CHECK(ReadAt(whole, 0, 10).status().code() == Code::kCorrupt);
}

TEST_CASE_FIXTURE(SealedFixture, "what the catalog lacks of a file is corrupt, but past its end") {
  CHECK(ReadAt(whole, 0, 10).status().code() == Code::kCorrupt);
  Write([&](catalog::Writer& writer) {
    return writer.PutInode(layer, {.ino = kSealedIno, .size_bytes = 10, .inherited_bytes = 0});
  });
  CHECK(ReadAt(whole, 0, 10).status().code() == Code::kCorrupt);
  CHECK(*ReadAt(whole, catalog::kPartBytes, 10) == std::string(10, '\0'));

  const ChunkId gone = Store(Filled('a', 8));
  Put(0, {{gone}, {}});
  Write([&](catalog::Writer& writer) { return writer.RemoveChunk(gone); });
  CHECK(ReadAt(whole, 0, 10).status().code() == Code::kCorrupt);
}

TEST_CASE_FIXTURE(SealedFixture, "a chunk that has moved to another pack is found there") {
  const ChunkId id = Store(Filled('a', 8));
  Put(0, {{id}, {}});
  REQUIRE(ReadAt(whole, 0, 10).ok());
  const PackId before = last_pack;
  REQUIRE(Store(Filled('a', 8)) == id);
  packs.Forget(before);
  REQUIRE(disk.RemoveFile(chunk::PackPath(kPacks, before)).ok());
  const auto read = ReadAt(whole, kPageBytes, 10);
  REQUIRE_MESSAGE(read.ok(), read.status().message());
  CHECK(*read == std::string(10, 'a'));
}

}  // namespace
}  // namespace velafs::layer
