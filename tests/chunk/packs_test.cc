#include "velafs/chunk/packs.h"

#include <doctest/doctest.h>

#include <fstream>
#include <thread>
#include <vector>

#include "tests/os/scratch_directory.h"
#include "velafs/chunk/codec.h"

namespace velafs::chunk {
namespace {

constexpr uint64_t kHeader = 64;

std::vector<std::byte> Bytes(size_t size, int seed) {
  std::vector<std::byte> bytes(size);
  for (size_t i = 0; i < size; ++i)
    bytes[i] = static_cast<std::byte>(i * 31 + i / 251 + static_cast<size_t>(seed));
  return bytes;
}

struct Stored {
  ChunkId id;
  ChunkLocation location;
  std::vector<std::byte> content;
};

struct PacksFixture {
  Stored Put(PackWriter& writer, std::vector<std::byte> content) {
    Stored stored{HashChunk(content), writer.Reserve(static_cast<uint32_t>(content.size())), {}};
    REQUIRE(writer.Write(stored.id, stored.location, content).ok());
    stored.content = std::move(content);
    return stored;
  }

  // Pack 7 with chunks of 65,536, 1 and 8,192 bytes.
  std::vector<Stored> MakePack() {
    auto writer = PackWriter::Create(storage, directory.path(), PackId(7));
    REQUIRE(writer.ok());
    std::vector<Stored> chunks;
    for (size_t size : {kChunkBytes, uint64_t{1}, kPageBytes}) {
      chunks.push_back(Put(**writer, Bytes(size, static_cast<int>(chunks.size()))));
    }
    REQUIRE((*writer)->Finish().ok());
    return chunks;
  }

  void FlipByte(uint64_t offset) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    const char byte = static_cast<char>(file.get() ^ 0x40);
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(byte);
    REQUIRE(file.good());
  }

  void TruncateTo(uint64_t size) {
    auto file = storage.Open(path, os::OpenMode::kReadWrite);
    REQUIRE(file.ok());
    REQUIRE((*file)->Truncate(size).ok());
  }

  Status Enumerate(std::vector<ChunkLocation>* locations) {
    return EnumeratePack(storage, directory.path(), PackId(7),
                         [&](const ChunkId&, const ChunkLocation& location) {
                           locations->push_back(location);
                           return Status();
                         });
  }

  os::Storage& storage = os::HostStorage();
  test::ScratchDirectory directory;
  const std::string path = directory / "7.pack";
  PackReader reader{storage, directory.path()};
};

void CheckDamage(const Status& status, const std::string& path, const std::string& words) {
  CHECK(status.code() == Code::kCorrupt);
  CHECK_MESSAGE(status.message().find(path) != std::string::npos, status.message());
  CHECK_MESSAGE(status.message().find(words) != std::string::npos, status.message());
}

TEST_CASE("a chunk's name is the SHA-256 of its content") {
  const std::string abc = "abc";
  CHECK(HashChunk(std::as_bytes(std::span(abc))).ToHex() ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("only content without any other byte counts as zeros") {
  std::vector<std::byte> content(kChunkBytes);
  CHECK(IsZeros(content));
  CHECK(IsZeros(std::span(content).first(1)));
  for (size_t at : {size_t{0}, size_t{1}, size_t{7}, size_t{4096}, content.size() - 1}) {
    content[at] = std::byte{1};
    CHECK_FALSE(IsZeros(content));
    content[at] = std::byte{0};
  }
}

TEST_CASE_FIXTURE(PacksFixture, "chunks read back as they were written") {
  for (const Stored& chunk : MakePack()) {
    std::vector<std::byte> got(chunk.content.size());
    REQUIRE(reader.Read(chunk.location, 0, got).ok());
    CHECK(got == chunk.content);
    CHECK(reader.Verify(chunk.location, chunk.id).ok());
  }
}

TEST_CASE_FIXTURE(PacksFixture, "a part of a chunk can be read alone") {
  const Stored chunk = MakePack()[0];
  std::vector<std::byte> got(kPageBytes);
  REQUIRE(reader.Read(chunk.location, 3 * kPageBytes, got).ok());
  CHECK(std::equal(got.begin(), got.end(), chunk.content.begin() + 3 * kPageBytes));
  CHECK(reader.Read(chunk.location, kChunkBytes - 1, got).code() == Code::kCorrupt);
}

TEST_CASE_FIXTURE(PacksFixture, "a pack's records are listed in order from their headers alone") {
  const std::vector<Stored> chunks = MakePack();
  size_t next = 0;
  const Status status = EnumeratePack(storage, directory.path(), PackId(7),
                                      [&](const ChunkId& id, const ChunkLocation& location) {
                                        CHECK(id == chunks.at(next).id);
                                        CHECK(location == chunks.at(next).location);
                                        ++next;
                                        return Status();
                                      });
  CHECK(status.ok());
  CHECK(next == chunks.size());
}

TEST_CASE_FIXTURE(PacksFixture, "records written by several threads at once do not overlap") {
  auto writer = PackWriter::Create(storage, directory.path(), PackId(7));
  REQUIRE(writer.ok());
  std::vector<std::vector<Stored>> chunks(4);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        chunks[static_cast<size_t>(t)].push_back(
            Put(**writer, Bytes(static_cast<size_t>(1000 + i), 50 * t + i)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE((*writer)->Finish().ok());
  for (const auto& of_thread : chunks) {
    for (const Stored& chunk : of_thread) CHECK(reader.Verify(chunk.location, chunk.id).ok());
  }
  std::vector<ChunkLocation> listed;
  CHECK(Enumerate(&listed).ok());
  CHECK(listed.size() == 200);
}

TEST_CASE_FIXTURE(PacksFixture, "a pack is never written over another") {
  MakePack();
  CHECK_FALSE(PackWriter::Create(storage, directory.path(), PackId(7)).ok());
}

TEST_CASE_FIXTURE(PacksFixture, "damage: a flipped byte of content is found by verification") {
  const Stored chunk = MakePack()[0];
  FlipByte(chunk.location.offset_bytes + 100);
  CheckDamage(reader.Verify(chunk.location, chunk.id), path, chunk.id.ToHex());
}

TEST_CASE_FIXTURE(PacksFixture,
                  "damage: a flipped byte of a record's header ends the listing there") {
  const std::vector<Stored> chunks = MakePack();
  for (uint64_t byte : std::initializer_list<uint64_t>{0, 4, 8, 20, 50, 63}) {
    const uint64_t record_at = chunks[1].location.offset_bytes - kHeader;
    FlipByte(record_at + byte);
    std::vector<ChunkLocation> listed;
    CheckDamage(Enumerate(&listed), path, "byte " + std::to_string(record_at));
    CHECK(listed.size() == 1);
    CHECK(reader.Verify(chunks[1].location, chunks[1].id).code() == Code::kCorrupt);
    FlipByte(record_at + byte);
  }
}

TEST_CASE_FIXTURE(PacksFixture, "damage: a flipped byte of the pack's own header is found") {
  MakePack();
  for (uint64_t byte : std::initializer_list<uint64_t>{0, 8, 16, 30, 62}) {
    FlipByte(byte);
    std::vector<ChunkLocation> listed;
    CheckDamage(Enumerate(&listed), path, "byte 0");
    FlipByte(byte);
  }
}

TEST_CASE_FIXTURE(PacksFixture,
                  "damage: a truncated pack is named with the offset that is missing") {
  const Stored chunk = MakePack()[2];
  TruncateTo(chunk.location.offset_bytes + 10);
  std::vector<std::byte> got(chunk.content.size());
  CheckDamage(reader.Read(chunk.location, 0, got), path,
              "byte " + std::to_string(chunk.location.offset_bytes));
  std::vector<ChunkLocation> listed;
  CheckDamage(Enumerate(&listed), path,
              "byte " + std::to_string(chunk.location.offset_bytes - kHeader));
  CHECK(listed.size() == 2);
}

TEST_CASE_FIXTURE(PacksFixture, "damage: a missing pack is named") {
  const Stored chunk = MakePack()[0];
  REQUIRE(storage.RemoveFile(path).ok());
  std::vector<std::byte> got(1);
  CheckDamage(reader.Read(chunk.location, 0, got), path, "missing");
}

TEST_CASE_FIXTURE(PacksFixture,
                  "damage: another chunk in a chunk's place is found by verification") {
  const std::vector<Stored> chunks = MakePack();
  CheckDamage(reader.Verify(chunks[1].location, chunks[0].id), path, chunks[0].id.ToHex());
}

TEST_CASE_FIXTURE(PacksFixture, "a codec this version does not know is an error in words") {
  Stored chunk = MakePack()[0];
  chunk.location.codec = static_cast<Codec>(2);
  std::vector<std::byte> got(1);
  CheckDamage(reader.Read(chunk.location, 0, got), path, "codec 2");
}

struct CompressedFixture : PacksFixture {
  // Pack 7 with a compressed chunk between two that are not.
  CompressedFixture() {
    auto writer = PackWriter::Create(storage, directory.path(), PackId(7));
    REQUIRE(writer.ok());
    Put(**writer, Bytes(kPageBytes, 1));
    chunk.content.assign(kChunkBytes, std::byte{7});
    for (size_t i = 0; i < kChunkBytes; i += 100) chunk.content[i] = static_cast<std::byte>(i);
    payload = Compress(chunk.content, {3});
    REQUIRE(!payload.empty());
    chunk.id = HashChunk(chunk.content);
    chunk.location =
        (*writer)->Reserve(kChunkBytes, static_cast<uint32_t>(payload.size()), Codec::kZstd);
    REQUIRE((*writer)->Write(chunk.id, chunk.location, payload).ok());
    last = Put(**writer, Bytes(1000, 2));
    REQUIRE((*writer)->Finish().ok());
  }
  Stored chunk;
  Stored last;
  std::vector<std::byte> payload;
};

TEST_CASE_FIXTURE(CompressedFixture,
                  "a compressed chunk is read as its content, in part and whole") {
  std::vector<std::byte> whole(kChunkBytes);
  std::vector<std::byte> page(kPageBytes);
  const auto expected =
      std::vector(chunk.content.begin() + 3 * kPageBytes, chunk.content.begin() + 4 * kPageBytes);
  for (int round = 0; round < 2; ++round) {  // the second comes from memory
    REQUIRE(reader.Read(chunk.location, 3 * kPageBytes, page).ok());
    CHECK(page == expected);
    REQUIRE(reader.ReadVerified(chunk.location, chunk.id, 0, whole).ok());
    CHECK(whole == chunk.content);
  }
  CHECK(reader.Read(chunk.location, kChunkBytes - 1, page).code() == Code::kCorrupt);
  CHECK(reader.Verify(chunk.location, chunk.id).ok());
  std::vector<std::byte> stored(payload.size());
  REQUIRE(reader.ReadPayload(chunk.location, stored).ok());
  CHECK(stored == payload);
  std::vector<ChunkLocation> found;
  REQUIRE(Enumerate(&found).ok());
  REQUIRE(found.size() == 3);
  CHECK(found[1] == chunk.location);
  CHECK(found[2] == last.location);
}

TEST_CASE_FIXTURE(CompressedFixture, "what is kept of a chunk is not taken for a longer one") {
  auto writer = PackWriter::Create(storage, directory.path(), PackId(8));
  REQUIRE(writer.ok());
  const auto payload_of_two = Compress(std::span(chunk.content).first(2 * kPageBytes), {3});
  ChunkLocation two = (*writer)->Reserve(
      2 * kPageBytes, static_cast<uint32_t>(payload_of_two.size()), Codec::kZstd);
  REQUIRE((*writer)->Write(chunk.id, two, payload_of_two).ok());
  std::vector<std::byte> page(kPageBytes);
  REQUIRE(reader.Read(two, kPageBytes, page).ok());
  two.raw_bytes = kChunkBytes;
  CHECK(reader.Read(two, 7 * kPageBytes, page).code() == Code::kCorrupt);
}

TEST_CASE_FIXTURE(CompressedFixture, "damage to a compressed chunk is found by whoever reads it") {
  FlipByte(chunk.location.offset_bytes + payload.size() / 2);
  std::vector<std::byte> page(kPageBytes);
  CheckDamage(reader.ReadVerified(chunk.location, chunk.id, 0, page), path, "");
  CheckDamage(reader.Verify(chunk.location, chunk.id), path, "");
  CHECK(reader.ReadVerified(last.location, last.id, 0, std::span(page).first(1000)).ok());
}

// By the frame's checksum: the SHA-256 is not asked where the header names the chunk.
TEST_CASE_FIXTURE(CompressedFixture, "no byte of a compressed chunk can change unnoticed") {
  std::vector<std::byte> whole(kChunkBytes);
  size_t found = 0;
  for (size_t at = 0; at < payload.size(); ++at) {
    FlipByte(chunk.location.offset_bytes + at);
    PackReader anew(os::HostStorage(), directory.path());
    if (anew.ReadVerified(chunk.location, chunk.id, 0, whole).ok()) {
      CHECK(whole == chunk.content);  // bits of a frame that mean nothing
    } else {
      ++found;
    }
    FlipByte(chunk.location.offset_bytes + at);
  }
  CHECK(found > payload.size() / 2);
}

TEST_CASE_FIXTURE(CompressedFixture, "a compressed chunk outlives the header before it") {
  FlipByte(chunk.location.offset_bytes - 1);
  std::vector<std::byte> whole(kChunkBytes);
  REQUIRE(reader.ReadVerified(chunk.location, chunk.id, 0, whole).ok());
  CHECK(whole == chunk.content);
  CHECK(reader.Verify(chunk.location, chunk.id).code() == Code::kCorrupt);
}

TEST_CASE_FIXTURE(CompressedFixture, "a compressed chunk under another's name is Corrupt") {
  std::vector<std::byte> page(kPageBytes);
  REQUIRE(reader.Read(chunk.location, 0, page).ok());  // and kept in memory
  CheckDamage(reader.ReadVerified(chunk.location, last.id, 0, page), path, last.id.ToHex());
  chunk.location.stored_bytes = kChunkBytes + 1;
  CheckDamage(reader.Read(chunk.location, 0, page), path, "");
}

TEST_CASE_FIXTURE(PacksFixture, "a verified read gives what a read does, or nothing") {
  const Stored chunk = MakePack()[0];
  std::vector<std::byte> whole(kChunkBytes);
  REQUIRE(reader.ReadVerified(chunk.location, chunk.id, 0, whole).ok());
  CHECK(whole == chunk.content);
  std::vector<std::byte> page(kPageBytes);
  REQUIRE(reader.ReadVerified(chunk.location, chunk.id, 3 * kPageBytes, page).ok());
  CHECK(std::equal(page.begin(), page.end(), chunk.content.begin() + 3 * kPageBytes));

  FlipByte(chunk.location.offset_bytes + 7 * kPageBytes);  // not in the page
  const Status damaged = reader.ReadVerified(chunk.location, chunk.id, 3 * kPageBytes, page);
  CheckDamage(damaged, path, "byte " + std::to_string(chunk.location.offset_bytes));
  CheckDamage(damaged, path, "chunk " + chunk.id.ToHex() + " does not match its SHA-256");
  CHECK(damaged.error_number() == EIO);
}

TEST_CASE_FIXTURE(PacksFixture, "a chunk read for another is found out") {
  const std::vector<Stored> chunks = MakePack();
  std::vector<std::byte> got(1);
  CHECK(reader.ReadVerified(chunks[0].location, chunks[2].id, 0, got).code() == Code::kCorrupt);
}

TEST_CASE_FIXTURE(PacksFixture, "a chunk that was found damaged is read no more") {
  const std::vector<Stored> chunks = MakePack();
  std::vector<std::byte> got(1);
  reader.Distrust(chunks[0].location);
  CheckDamage(reader.Read(chunks[0].location, 0, got), path, "was found damaged");
  CheckDamage(reader.ReadVerified(chunks[0].location, chunks[0].id, 0, got), path, "found damaged");
  CHECK(reader.Read(chunks[1].location, 0, got).ok());
}

TEST_CASE_FIXTURE(PacksFixture, "a forgotten pack is opened anew") {
  const Stored chunk = MakePack()[0];
  std::vector<std::byte> got(1);
  REQUIRE(reader.Read(chunk.location, 0, got).ok());
  REQUIRE(storage.RemoveFile(path).ok());
  CHECK(reader.Read(chunk.location, 0, got).ok());
  reader.Forget(PackId(7));
  CHECK(reader.Read(chunk.location, 0, got).code() == Code::kCorrupt);
}

}  // namespace
}  // namespace velafs::chunk
