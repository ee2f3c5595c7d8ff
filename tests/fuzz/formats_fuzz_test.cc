// What comes from disks and from PGDATAs of others, as files: read whatever it is.
#include <doctest/doctest.h>
#include <fcntl.h>

#include <boost/crc.hpp>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz.h"
#include "tests/os/scratch_directory.h"
#include "tests/store/import/wal_builder.h"
#include "tests/store/store_fixture.h"
#include "velafs/base/control_file.h"
#include "velafs/chunk/pack_scan.h"
#include "velafs/chunk/packs.h"
#include "velafs/cli/policy_file.h"
#include "velafs/layer/page_map.h"
#include "velafs/store/import/source_backup.h"
#include "velafs/store/import/wal_tablespaces.h"

namespace velafs::test {
namespace {

std::span<const std::byte> AsBytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

const LayerId kLayer(3);
const InodeNumber kIno(7);

void TryMap(const std::string& file) {
  auto map = layer::PageMap::Decode(kLayer, kIno, AsBytes(file));
  if (!map.ok()) {
    CHECK(map.status().code() == Code::kCorrupt);
    return;
  }
  PageNumber page;
  for (int runs = 0; runs < 100 && page < PageNumber(uint64_t{1} << 40); ++runs) {
    const auto run = map->RunAt(page, 1 << 20);
    REQUIRE(run.pages > 0);
    REQUIRE(run.pages <= 1 << 20);
    page += run.pages;
  }
  CHECK(map->RunAt(PageNumber::From(map->inherited_bytes()), 1).held);
  map->HideFrom(map->inherited_bytes() / 2);
  map->TakeDirty();
}

// With the right checksums, as somebody has it who means harm.
std::string Sealed(std::string map) {
  constexpr size_t kBlock = layer::PageMap::kBlockBytes;
  for (size_t at = 0; at + kBlock <= map.size(); at += kBlock) {
    boost::crc_32_type crc;
    crc.process_bytes(map.data() + at, kBlock - 4);
    const uint32_t sum = crc.checksum();
    std::memcpy(map.data() + at + kBlock - 4, &sum, sizeof sum);
  }
  return map;
}

TEST_CASE("fuzz: a page map is decoded or refused") {
  std::vector<std::string> seeds;
  for (const uint64_t pages : {0U, 1U, 100U, 20'000U}) {
    layer::PageMap map(kLayer, kIno, pages * kPageBytes);
    if (pages > 0) map.ClaimPages(PageNumber(pages / 2), (pages + 1) / 2);
    std::string& file = seeds.emplace_back();
    for (const auto& block : map.TakeDirty()) {
      file.resize(std::max<size_t>(file.size(), block.offset_bytes + block.content.size()));
      std::memcpy(file.data() + block.offset_bytes, block.content.data(), block.content.size());
    }
  }
  Fuzz("page_map", seeds, [](const std::string& input) {
    TryMap(input);
    TryMap(Sealed(input));
  });
}

TEST_CASE("fuzz: a pack is scanned, listed and read whatever is in it") {
  const ScratchDirectory scratch;
  os::Storage& storage = os::HostStorage();
  const PackId pack(7);
  struct Chunk {
    ChunkId id;
    ChunkLocation location;
  };
  std::vector<Chunk> chunks;
  {
    auto writer = chunk::PackWriter::Create(storage, scratch.path(), pack);
    REQUIRE(writer.ok());
    for (uint32_t i = 0; i < 4; ++i) {
      const std::string content = Noise(500 + 300 * i, i);
      chunks.push_back({chunk::HashChunk(AsBytes(content)),
                        (*writer)->Reserve(static_cast<uint32_t>(content.size()))});
      REQUIRE((*writer)->Write(chunks[i].id, chunks[i].location, AsBytes(content)).ok());
    }
    REQUIRE((*writer)->Finish().ok());
  }
  const std::string path = chunk::PackPath(scratch.path(), pack);
  Fuzz("pack", {ReadHostFile(path)}, [&](const std::string& input) {
    WriteHostFile(path, input);
    uint64_t at = chunk::kRecordHeaderBytes;
    const auto visit = [&](const chunk::PackPiece& piece) -> Status {
      if (piece.offset_bytes > 0) {
        CHECK(piece.offset_bytes == at);
        at += piece.length_bytes;
        REQUIRE(piece.length_bytes > 0);
      }
      return {};
    };
    const Status scanned = chunk::ScanPack(storage, scratch.path(), pack, visit);
    CHECK_MESSAGE(scanned.ok(), scanned.message());
    if (input.size() > chunk::kRecordHeaderBytes) CHECK(at == input.size());
    chunk::PackReader reader(storage, scratch.path());
    const Status listed = chunk::EnumeratePack(
        storage, scratch.path(), pack, [&](const ChunkId& id, const ChunkLocation& location) {
          const Status sound = reader.Verify(location, id);
          CHECK((sound.ok() || sound.code() == Code::kCorrupt));
          std::string content(location.raw_bytes, '?');
          if (content.empty() || content.size() > kChunkBytes) return Status();
          const Status read =
              reader.ReadVerified(location, id, 0, std::as_writable_bytes(std::span(content)));
          if (read.ok()) CHECK(chunk::HashChunk(AsBytes(content)) == id);
          return Status();
        });
    CHECK((listed.ok() || listed.code() == Code::kCorrupt));
    for (const Chunk& one : chunks) {
      std::string content(one.location.raw_bytes, '?');
      const Status read =
          reader.ReadVerified(one.location, one.id, 0, std::as_writable_bytes(std::span(content)));
      if (read.ok()) CHECK(chunk::HashChunk(AsBytes(content)) == one.id);
    }
  });
}

TEST_CASE("fuzz: pg_control tells a state that there is") {
  std::string seed(kClusterStateBytes, '\0');
  seed[16] = 1;
  Fuzz("control_file", {seed}, [](const std::string& input) {
    const auto state = ParseClusterState(input);
    if (state) CHECK(static_cast<uint32_t>(*state) <= 6);
  });
}

TEST_CASE("fuzz: a backup's label and map of tablespaces") {
  const std::vector<std::string> seeds = {
      "16384 /srv/fast\n16385 /srv/with\\\nline\n",
      "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\nCHECKPOINT LOCATION: "
      "0/2000060\nBACKUP METHOD: streamed\n"};
  Fuzz("backup", seeds, [](const std::string& input) {
    // Names are compared with what is there: one that is no OID is missing, and said to be.
    for (const auto& [oid, path] : store::ParseTablespaceMap(input)) {
      CHECK(oid.find(' ') == std::string::npos);
    }
    CHECK(store::FirstWalSegment(input).find('\n') == std::string::npos);
  });
}

Result<store::WalFile> OpenSegment(const std::string& path) {
  return store::WalFile{os::UniqueFd(open(path.c_str(), O_RDONLY)), 0, fs::file_size(path)};
}

TEST_CASE("fuzz: WAL is searched for tablespaces to its end") {
  WalBuilder wal(3);
  wal.Add(OtherRecord(100));
  wal.Add(CreateTablespaceRecord(16400, "/srv/production/fast"));
  wal.Add(OtherRecord(20'000));
  wal.Add(CreateTablespaceRecord(16401, "/x"));
  const ScratchDirectory scratch;
  const auto segments = wal.Segments();
  REQUIRE_FALSE(segments.empty());
  const std::string name = segments.begin()->first;
  const std::string whole = segments.begin()->second;
  // The rest of a segment is zeros: what is mutated is what comes before.
  const size_t used = whole.find_last_not_of('\0') + 1;
  Fuzz("wal", {whole.substr(0, used)}, [&](const std::string& input) {
    std::string segment = input;
    segment.resize(std::max(whole.size(), input.size()));
    WriteHostFile(scratch / name, segment);
    const auto patches = store::EmptyTablespaceLocations(
        {name}, [&](const std::string& of) { return OpenSegment(scratch / of); });
    if (!patches.ok()) return;
    for (const auto& [of, list] : *patches) {
      for (const store::BytePatch& patch : list) {
        CHECK(patch.offset_bytes + patch.bytes.size() <= segment.size());
      }
    }
  });
}

TEST_CASE("fuzz: a record of WAL whose checksum is right") {
  const std::string record = CreateTablespaceRecord(16400, "/srv/production/fast");
  const ScratchDirectory scratch;
  Fuzz("wal_record", {TablespaceData(16400, "/srv/production/fast"), record.substr(24)},
       [&](const std::string& input) {
         Decisions decisions(input);
         WalBuilder wal(3);
         const auto manager =
             static_cast<uint8_t>(decisions.Below(2) == 0 ? 5 : decisions.Number(1));
         wal.Add(WalRecord(manager, static_cast<uint8_t>(decisions.Below(2) * decisions.Number(1)),
                           input));
         wal.Add(record);
         std::set<std::string> names;
         for (const auto& [name, bytes] : wal.Segments()) {
           WriteHostFile(scratch / name, bytes);
           names.insert(name);
         }
         const auto patches = store::EmptyTablespaceLocations(
             names, [&](const std::string& of) { return OpenSegment(scratch / of); });
         REQUIRE_MESSAGE(patches.ok(), patches.status().message());
         CHECK_FALSE(patches->empty());  // the second record is found behind any first
       });
}

TEST_CASE("fuzz: a file of policies is read or is wrong usage") {
  const std::vector<std::string> seeds = {
      "[store]\nttl = \"3d\"\napproved_sources_only = true\n[source.main]\nquota = \"10G\"\n",
      "[branch.\"pr-1\"]\non_expire = 'keep'\n[branch.x]\nmax_branches = \"7\"\n",
      "a = [1, {b = 2}]"};
  Fuzz("policy_file", seeds, [](const std::string& input) {
    const auto parsed = cli::ParsePolicies(input, "input");
    if (parsed.ok()) {
      CHECK(parsed->is_array());
    } else {
      CHECK(parsed.status().code() == Code::kUsage);
    }
  });
}

}  // namespace
}  // namespace velafs::test
