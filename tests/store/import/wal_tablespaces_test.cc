#include "velafs/store/import/wal_tablespaces.h"

#include <doctest/doctest.h>
#include <fcntl.h>

#include "tests/os/scratch_directory.h"
#include "tests/store/import/wal_builder.h"
#include "tests/store/store_fixture.h"

namespace velafs::store {
namespace {

using namespace test;

struct WalFixture {
  // What the segments are once patched.
  std::map<std::string, std::string> Patched(const std::map<std::string, std::string>& segments) {
    std::set<std::string> names;
    for (const auto& [name, bytes] : segments) {
      WriteHostFile(scratch / name, bytes);
      names.insert(name);
    }
    const auto patches = EmptyTablespaceLocations(names, [this](const std::string& name) {
      const std::string path = scratch / name;
      return Result<WalFile>(
          WalFile{os::UniqueFd(open(path.c_str(), O_RDONLY)), 0, fs::file_size(path)});
    });
    REQUIRE_MESSAGE(patches.ok(), patches.status().message());
    auto patched = segments;
    for (const auto& [name, of_segment] : *patches) {
      for (const BytePatch& patch : of_segment) {
        patched.at(name).replace(patch.offset_bytes, patch.bytes.size(), patch.bytes);
      }
    }
    return patched;
  }
  // The same records, but that one.
  static void CheckEqualsRebuilt(const std::map<std::string, std::string>& patched,
                                 const WalBuilder& expected) {
    CHECK(patched == expected.Segments());
  }
  // A record of CREATE TABLESPACE as it is to be: as long as it was, with an empty location.
  static std::string Emptied(uint32_t oid, const std::string& location) {
    std::string data = TablespaceData(oid, location);
    data[4] = '\0';
    return WalRecord(5, 0, data);
  }

  ScratchDirectory scratch;
  const std::string location = "/srv/production/fast";
};

TEST_CASE_FIXTURE(WalFixture, "CREATE TABLESPACE in the WAL loses its location, and nothing else") {
  WalBuilder wal(3);
  WalBuilder expected(3);
  for (WalBuilder* one : {&wal, &expected}) one->Add(OtherRecord(100));
  wal.Add(CreateTablespaceRecord(16400, location));
  expected.Add(Emptied(16400, location));
  for (WalBuilder* one : {&wal, &expected}) one->Add(OtherRecord(20'000));
  wal.Add(CreateTablespaceRecord(16401, "/x"));
  expected.Add(Emptied(16401, "/x"));
  CheckEqualsRebuilt(Patched(wal.Segments()), expected);
}

TEST_CASE_FIXTURE(WalFixture, "a record that a crash has torn does not hide those behind it") {
  WalBuilder wal(3);
  wal.Add(OtherRecord(100));
  wal.Add(OtherRecord(40'000));
  auto segments = wal.Segments();
  const auto overwrite = [&](const std::string& record) {
    auto torn = segments;
    std::string& bytes = torn.begin()->second;
    const size_t page = 2 * 8192;  // recovery goes on here, with a page that continues nothing
    bytes[page + 2] = static_cast<char>(bytes[page + 2] & ~1);
    bytes.replace(page + 16, 4, 4, '\0');
    std::fill(bytes.begin() + page + 24, bytes.end(), '\0');
    bytes.replace(page + 24, record.size(), record);
    return torn;
  };
  CHECK(Patched(overwrite(CreateTablespaceRecord(16400, location))) ==
        overwrite(Emptied(16400, location)));
}

TEST_CASE_FIXTURE(WalFixture, "a record is found wherever it crosses a page or a segment") {
  for (uint64_t left = 8; left <= 64; left += 8) {
    for (const bool at_segment : {false, true}) {
      CAPTURE(left);
      CAPTURE(at_segment);
      WalBuilder wal(4095);  // the next one's name has another middle part
      WalBuilder expected(4095);
      for (WalBuilder* one : {&wal, &expected}) {
        at_segment ? one->FillSegment(left) : one->FillPage(left);
      }
      wal.Add(CreateTablespaceRecord(16400, location));
      expected.Add(Emptied(16400, location));
      for (WalBuilder* one : {&wal, &expected}) one->Add(OtherRecord(3000));
      CheckEqualsRebuilt(Patched(wal.Segments()), expected);
    }
  }
}

TEST_CASE_FIXTURE(WalFixture, "a location of any length is emptied") {
  const std::string longest = "/" + std::string(1000, 'd');
  WalBuilder wal(1);
  WalBuilder expected(1);
  wal.Add(CreateTablespaceRecord(16400, longest));
  expected.Add(Emptied(16400, longest));
  CheckEqualsRebuilt(Patched(wal.Segments()), expected);
}

TEST_CASE_FIXTURE(WalFixture, "a segment that begins in the middle of a record is looked through") {
  WalBuilder wal(1);
  WalBuilder expected(1);
  for (WalBuilder* one : {&wal, &expected}) {
    one->FillSegment(64);
    one->Add(OtherRecord(30'000));
  }
  wal.Add(CreateTablespaceRecord(16400, location));
  expected.Add(Emptied(16400, location));
  auto segments = wal.Segments();
  auto expected_segments = expected.Segments();
  segments.erase(WalBuilder::Name(1));  // it is the oldest that is left
  expected_segments.erase(WalBuilder::Name(1));
  CHECK(Patched(segments) == expected_segments);
}

TEST_CASE_FIXTURE(WalFixture, "nothing else is touched") {
  WalBuilder wal(1);
  SUBCASE("a record whose checksum is wrong") {
    std::string record = CreateTablespaceRecord(16400, location);
    record[20] = static_cast<char>(record[20] + 1);
    wal.Add(record);
  }
  SUBCASE("CREATE TABLESPACE inside the data directory") {
    wal.Add(CreateTablespaceRecord(16400, ""));
  }
  SUBCASE("DROP TABLESPACE") { wal.Add(WalRecord(5, 0x10, std::string("\x10\x40\0\0", 4))); }
  SUBCASE("records of other kinds with such data") {
    wal.Add(WalRecord(4, 0, TablespaceData(16400, location)));
    wal.Add(WalRecord(5, 0x20, TablespaceData(16400, location)));
  }
  SUBCASE("what stands behind the end of the WAL") {
    wal.Add(std::string(24, '\0'));
    wal.Add(CreateTablespaceRecord(16400, location));
  }
  CHECK(Patched(wal.Segments()) == wal.Segments());
}

TEST_CASE_FIXTURE(WalFixture, "files that are no WAL, or end early, are no failure") {
  WalBuilder wal(1);
  wal.FillSegment(16);
  wal.Add(CreateTablespaceRecord(16400, location));
  auto segments = wal.Segments();
  SUBCASE("the next segment is another's that was recycled") {
    segments[WalBuilder::Name(2)] = segments[WalBuilder::Name(1)];
  }
  SUBCASE("the next segment is missing") { segments.erase(WalBuilder::Name(2)); }
  SUBCASE("the next segment is empty") { segments[WalBuilder::Name(2)].clear(); }
  SUBCASE("the segment is cut") {
    segments[WalBuilder::Name(1)].resize(12'345);
    segments.erase(WalBuilder::Name(2));
  }
  SUBCASE("noise") {
    for (auto& [name, bytes] : segments) bytes = Noise(100'000, 7);
  }
  SUBCASE("noise behind a header that is right") {
    auto& bytes = segments[WalBuilder::Name(1)];
    bytes.replace(40, bytes.size() - 40, Noise(bytes.size() - 40, 8));
    segments.erase(WalBuilder::Name(2));
  }
  CHECK(Patched(segments) == segments);
}

}  // namespace
}  // namespace velafs::store
