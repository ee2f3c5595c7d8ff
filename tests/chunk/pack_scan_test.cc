#include "velafs/chunk/pack_scan.h"

#include <doctest/doctest.h>

#include <boost/filesystem.hpp>
#include <cerrno>
#include <fstream>
#include <vector>

#include "tests/os/scratch_directory.h"
#include "velafs/chunk/packs.h"

namespace velafs::chunk {
namespace {

struct PackScanFixture {
  // Pack 7 with `count` chunks of 1,000 bytes.
  explicit PackScanFixture(size_t count = 5) {
    auto writer = PackWriter::Create(storage, directory.path(), PackId(7));
    REQUIRE(writer.ok());
    for (size_t i = 0; i < count; ++i) {
      const std::vector<std::byte> content(1000, static_cast<std::byte>(i + 1));
      const PackPiece::Record record{HashChunk(content), (*writer)->Reserve(1000)};
      REQUIRE((*writer)->Write(record.id, record.location, content).ok());
      records.push_back(record);
    }
    REQUIRE((*writer)->Finish().ok());
  }

  void FlipByte(uint64_t offset) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    const char byte = static_cast<char>(file.get() ^ 0x40);
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(byte);
    REQUIRE(file.good());
  }

  std::vector<PackPiece> Scan() {
    std::vector<PackPiece> pieces;
    const Status scanned =
        ScanPack(storage, directory.path(), PackId(7), [&](const PackPiece& piece) {
          pieces.push_back(piece);
          return Status();
        });
    REQUIRE_MESSAGE(scanned.ok(), scanned.message());
    return pieces;
  }
  // The pieces are without gaps, up to the end of the file; gives those that are not sound.
  std::vector<PackPiece> Damaged() {
    std::vector<PackPiece> damaged;
    uint64_t at = kRecordHeaderBytes;
    for (const PackPiece& piece : Scan()) {
      if (piece.offset_bytes > 0) {
        CHECK(piece.offset_bytes == at);
        at += piece.length_bytes;
      }
      if (!piece.sound.ok()) damaged.push_back(piece);
    }
    CHECK(at == boost::filesystem::file_size(path));
    return damaged;
  }
  uint64_t RecordAt(size_t index) const {
    return records[index].location.offset_bytes - kRecordHeaderBytes;
  }

  os::Storage& storage = os::HostStorage();
  test::ScratchDirectory directory;
  const std::string path = directory / "7.pack";
  std::vector<PackPiece::Record> records;
};

TEST_CASE_FIXTURE(PackScanFixture, "a sound pack is its records, each where it was written") {
  const std::vector<PackPiece> pieces = Scan();
  REQUIRE(pieces.size() == records.size());
  for (size_t i = 0; i < records.size(); ++i) {
    CHECK(pieces[i].sound.ok());
    CHECK(pieces[i].record->id == records[i].id);
    CHECK(pieces[i].record->location == records[i].location);
  }
}

TEST_CASE_FIXTURE(PackScanFixture,
                  "a damaged payload is told with its record, and the rest is sound") {
  FlipByte(records[2].location.offset_bytes + 999);
  const std::vector<PackPiece> damaged = Damaged();
  REQUIRE(damaged.size() == 1);
  CHECK(damaged[0].record->id == records[2].id);
  CHECK(Scan().size() == records.size());
}

TEST_CASE_FIXTURE(PackScanFixture,
                  "after a damaged record header the scan goes on at the next record") {
  for (const uint64_t byte : std::initializer_list<uint64_t>{0, 5, 9, 13, 20, 63}) {
    FlipByte(RecordAt(1) + byte);
    const std::vector<PackPiece> damaged = Damaged();
    REQUIRE(damaged.size() == 1);
    CHECK_FALSE(damaged[0].record);
    CHECK(damaged[0].offset_bytes == RecordAt(1));
    CHECK(damaged[0].length_bytes == 1064);
    CHECK(Scan().size() == records.size());
    FlipByte(RecordAt(1) + byte);
  }
  CHECK(Damaged().empty());
}

TEST_CASE_FIXTURE(PackScanFixture,
                  "a pack cut anywhere in a record ends in a stretch without one") {
  const uint64_t size = boost::filesystem::file_size(path);
  for (const uint64_t missing : std::initializer_list<uint64_t>{1, 500, 1000, 1001, 1063}) {
    boost::filesystem::resize_file(path, size - missing);
    const std::vector<PackPiece> damaged = Damaged();
    REQUIRE(damaged.size() == 1);
    CHECK(damaged[0].offset_bytes == RecordAt(4));
    CHECK_FALSE(damaged[0].record);
  }
}

TEST_CASE_FIXTURE(PackScanFixture,
                  "a damaged header of the pack is told, and its records are found") {
  std::vector<PackPiece> damaged;
  SUBCASE("a flipped bit") { FlipByte(3); }
  SUBCASE("another pack's") {
    auto other = PackWriter::Create(storage, directory.path(), PackId(8));
    REQUIRE(other.ok());
    std::ifstream from(directory / "8.pack", std::ios::binary);
    std::string header(64, '\0');
    from.read(header.data(), 64);
    std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).write(header.data(), 64);
  }
  damaged = Damaged();
  REQUIRE(damaged.size() == 1);
  CHECK(damaged[0].offset_bytes == 0);
  CHECK(Scan().size() == records.size() + 1);
  REQUIRE(RewritePackHeader(storage, directory.path(), PackId(7)).ok());
  CHECK(Damaged().empty());
}

TEST_CASE_FIXTURE(PackScanFixture, "a record header is written anew from what the catalog knows") {
  FlipByte(RecordAt(3) + 30);
  REQUIRE(RewriteRecordHeader(storage, directory.path(), records[3]).ok());
  CHECK(Damaged().empty());
}

TEST_CASE_FIXTURE(PackScanFixture, "what follows the last record can be cut off") {
  const uint64_t size = boost::filesystem::file_size(path);
  std::ofstream(path, std::ios::app | std::ios::binary) << std::string(100'000, 'V');
  REQUIRE(Damaged().size() == 1);
  REQUIRE(CutPack(storage, directory.path(), PackId(7), size).ok());
  CHECK(Damaged().empty());
}

TEST_CASE("a pack larger than the scan's window is read whole") {
  PackScanFixture fixture(8000);
  CHECK(fixture.Damaged().empty());
  CHECK(fixture.Scan().size() == 8000);
}

TEST_CASE_FIXTURE(PackScanFixture,
                  "a pack that is not there is ENOENT, and a visitor ends the scan") {
  CHECK(ScanPack(storage, directory.path(), PackId(9), [](const PackPiece&) {
          return Status();
        }).error_number() == ENOENT);
  int seen = 0;
  const Status stopped = ScanPack(storage, directory.path(), PackId(7), [&](const PackPiece&) {
    ++seen;
    return Failed("enough");
  });
  CHECK(stopped.message() == "enough");
  CHECK(seen == 1);
}

}  // namespace
}  // namespace velafs::chunk
