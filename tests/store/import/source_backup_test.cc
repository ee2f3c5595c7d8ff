// Imports of base backups.
#include "velafs/store/import/source_backup.h"

#include "tests/store/import/wal_builder.h"
#include "tests/store/store_fixture.h"

namespace velafs::store {
namespace {

using namespace test;

struct BackupFixture : StoreFixture {
  BackupFixture() {
    WriteHostFile(data + "/postgresql.auto.conf", "");
    WriteHostFile(data + "/backup_label",
                  "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n"
                  "CHECKPOINT LOCATION: 0/2000060\n");
    WriteHostFile(data + "/pg_wal/000000010000000000000002", "wal");
  }
  void CheckContent(const std::string& path, const std::string& content) {
    const Tree tree = BranchTree("main");
    const auto found = tree.find(path);
    REQUIRE_MESSAGE(found != tree.end(), path);
    CHECK_MESSAGE(found->second.ends_with(" " + ContentOf(content)), found->second);
  }
  Status Refusal() {
    const Status refused = ImportFailure();
    CHECK(refused.code() == Code::kRefused);
    CheckIsEmpty();
    return refused;
  }
  const std::string production = scratch / "production";
};

TEST_CASE("a tablespace_map is read as PostgreSQL writes it") {
  const auto map =
      ParseTablespaceMap("16384 /srv/a b\n16385 /srv/new\\\nline\n16386 /back\\\\slash\n");
  CHECK(map == std::map<std::string, std::string>{
                   {"16384", "/srv/a b"}, {"16385", "/srv/new\nline"}, {"16386", "/back\\slash"}});
  CHECK(ParseTablespaceMap("").empty());
  CHECK(ParseTablespaceMap("\n\nnonsense\n").empty());
}

TEST_CASE("the first WAL segment is the one backup_label names") {
  CHECK(FirstWalSegment("START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\nx") ==
        "000000010000000000000002");
  CHECK(FirstWalSegment("").empty());
  CHECK(FirstWalSegment("START WAL LOCATION: 0/2000028\n").empty());
}

TEST_CASE_FIXTURE(BackupFixture, "a directory is not taken for the WAL that a backup lacks") {
  WriteHostFile(data + "/backup_label", "START WAL LOCATION: 0/2000028 (file archive_status)\n");
  fs::create_directories(data + "/pg_wal/archive_status");
  const Status refused = ImportFailure();
  CHECK(refused.code() == Code::kRefused);
  CheckMessage(refused, "a backup without its WAL");
}

TEST_CASE_FIXTURE(BackupFixture, "a backup with its tablespaces is imported without the map") {
  WriteHostFile(data + "/tablespace_map", "16384 " + production + "\n16385 " + production + "2\n");
  WriteHostFile(production + "/PG_15_202209061/5/1", "production's");
  WriteHostFile(data + "/pg_tblspc/16384/PG_15_202209061/5/1", "the backup's");
  WriteHostFile(scratch / "copy/PG_15_202209061/5/2", "the backup's, too");
  fs::create_symlink(scratch / "copy", data + "/pg_tblspc/16385");
  Import("main");
  CheckContent("pg_tblspc/16384/PG_15_202209061/5/1", "the backup's");
  CheckContent("pg_tblspc/16385/PG_15_202209061/5/2", "the backup's, too");
  CheckContent("postgresql.auto.conf", "\nallow_in_place_tablespaces = on\n");
  CHECK_FALSE(BranchTree("main").contains("tablespace_map"));
  CHECK(BranchTree("main").contains("backup_label"));
}

TEST_CASE_FIXTURE(BackupFixture, "a backup without a tablespace is refused, and names it") {
  WriteHostFile(data + "/tablespace_map", "16384 " + production + "\n16385 /srv/other\n");
  WriteHostFile(production + "/PG_15_202209061/5/1", "production's");
  SUBCASE("both are missing") {
    const Status refused = Refusal();
    CheckMessage(refused, "16384 (it was \"" + production + "\"), 16385 (it was \"/srv/other\")");
    CHECK(refused.hint().find("OID.tar") != std::string::npos);
  }
  SUBCASE("one is") {
    fs::create_directories(data + "/pg_tblspc/16384");
    const Status refused = Refusal();
    CheckMessage(refused, "there is no 16385 (it was \"/srv/other\")");
  }
  SUBCASE("one leads to production's") {
    fs::create_directories(data + "/pg_tblspc/16385");
    fs::create_symlink(production, data + "/pg_tblspc/16384");
    CheckMessage(Refusal(), "16384 in \"" + production + "\"");
  }
}

TEST_CASE_FIXTURE(BackupFixture, "a backup without its WAL is refused, and backup_label stays") {
  fs::remove_all(data + "/pg_wal");
  SUBCASE("no pg_wal") {}
  SUBCASE("other segments") { WriteHostFile(data + "/pg_wal/000000010000000000000003", "wal"); }
  SUBCASE("a recovery without a restore_command") {
    WriteHostFile(data + "/recovery.signal", "");
    WriteHostFile(data + "/postgresql.conf", "#restore_command = 'x'\nrestore_command = ''\n");
  }
  const Status refused = Refusal();
  CheckMessage(refused, "recovery begins in segment \"000000010000000000000002\"");
  CHECK(refused.hint().find("pg_wal.tar") != std::string::npos);
  CHECK(refused.hint().find("backup_label has to stay") != std::string::npos);
  CHECK(refused.hint().find("--allow-missing-wal") != std::string::npos);
  options.allow_missing_wal = true;
  const ImportResult allowed = Import("main");
  CHECK(allowed.warnings[0].find("`velapg start --recover`") != std::string::npos);
}

template <typename T>
void Write(std::string& control, size_t offset, T value) {
  std::memcpy(control.data() + offset, &value, sizeof value);
}

// A pg_control of PostgreSQL 13 to 17, without the checksum.
std::string Control(uint32_t state) {
  std::string control = Noise(8192, 1);
  Write<uint32_t>(control, 8, 1300);
  Write<uint32_t>(control, 16, state);
  return control;
}

std::string WithChecksum(std::string control) {
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;
  crc.process_bytes(control.data(), 288);
  Write<uint32_t>(control, 288, crc.checksum());
  return control;
}

std::string StandbysControl(uint32_t state, uint64_t end) {
  std::string control = Control(state);
  Write<uint64_t>(control, 136, end);
  return WithChecksum(control);
}

// Of a server that was stopped, with segments of 1 MiB.
std::string StoppedControl(uint64_t checkpoint, uint32_t timeline) {
  std::string control = Control(1);
  Write<uint64_t>(control, 32, checkpoint);
  Write<uint32_t>(control, 48, timeline);
  Write<uint32_t>(control, 228, WalBuilder::kSegmentBytes);
  return WithChecksum(control);
}

TEST_CASE_FIXTURE(BackupFixture, "a stopped server's directory needs the WAL of its checkpoint") {
  fs::remove(data + "/backup_label");
  WriteHostFile(data + "/global/pg_control", StoppedControl(0x1'00340028, 3));
  SUBCASE("no pg_wal") { fs::remove_all(data + "/pg_wal"); }
  SUBCASE("other segments") {}
  const Status refused = Refusal();
  CheckMessage(refused, "its last checkpoint, \"000000030000000100000003\", is not in pg_wal");
  options.allow_missing_wal = true;
  CHECK(Import("allowed").warnings[0].find("\"000000030000000100000003\"") != std::string::npos);
  options.allow_missing_wal = false;
  WriteHostFile(data + "/pg_wal/000000030000000100000003", "wal");
  CHECK(Import("whole").warnings.empty());
}

TEST_CASE_FIXTURE(BackupFixture, "a damaged pg_control is refused") {
  SUBCASE("it is empty") { WriteHostFile(data + "/global/pg_control", ""); }
  SUBCASE("its checksum is wrong") {
    std::string control = StoppedControl(2 * WalBuilder::kSegmentBytes, 1);
    control[100] = static_cast<char>(~control[100]);
    WriteHostFile(data + "/global/pg_control", control);
  }
  CheckMessage(Refusal(), "its global/pg_control is damaged: it");
}

TEST_CASE_FIXTURE(BackupFixture, "a standby's copy needs WAL up to where its data is consistent") {
  fs::remove(data + "/backup_label");
  fs::remove_all(data + "/pg_wal");
  WalBuilder wal(2);
  wal.FillSegment(32);
  const auto segments = wal.Segments();
  for (const auto& [name, bytes] : segments) WriteHostFile(data + "/pg_wal/" + name, bytes);
  const uint64_t end = 3 * WalBuilder::kSegmentBytes;
  for (const uint32_t state : {2u, 5u}) {
    WriteHostFile(data + "/global/pg_control", StandbysControl(state, end + 100 * 8192));
    CheckMessage(Refusal(), "its WAL ends before 0/3C8000");
  }
  // Of a primary that has crashed it says nothing.
  WriteHostFile(data + "/global/pg_control", StandbysControl(6, end + 100 * 8192));
  Import("primary");
  WriteHostFile(data + "/global/pg_control", StandbysControl(5, end - 8192));
  Import("standby");
  fs::remove_all(data + "/pg_wal");
  CheckMessage(ImportFailure(), "its WAL ends before");
}

TEST_CASE_FIXTURE(BackupFixture, "a standby's WAL may end where a switched segment does") {
  fs::remove(data + "/backup_label");
  fs::remove_all(data + "/pg_wal");
  WalBuilder wal(2);
  wal.Add(OtherRecord(500));  // the rest of the segment is zeros
  WriteHostFile(data + "/pg_wal/" + WalBuilder::Name(2), wal.Segments().at(WalBuilder::Name(2)));
  const uint64_t end = 3 * WalBuilder::kSegmentBytes;
  WriteHostFile(data + "/global/pg_control", StandbysControl(2, end));
  Import("standby");
  WriteHostFile(data + "/global/pg_control", StandbysControl(2, end + 40));
  CheckMessage(ImportFailure(), "its WAL ends before 0/300028");
  // What was named for it in advance still has the content of an older one.
  WriteHostFile(data + "/pg_wal/" + WalBuilder::Name(3), wal.Segments().at(WalBuilder::Name(2)));
  WriteHostFile(data + "/global/pg_control", StandbysControl(2, end + WalBuilder::kSegmentBytes));
  CheckMessage(ImportFailure(), "its WAL ends before 0/400000");
}

TEST_CASE_FIXTURE(BackupFixture, "a backup that gets its WAL from an archive needs none") {
  fs::remove_all(data + "/pg_wal");
  WriteHostFile(data + "/postgresql.auto.conf", "restore_command = 'cp /archive/%f %p'\n");
  SUBCASE("recovery.signal") { WriteHostFile(data + "/recovery.signal", ""); }
  SUBCASE("standby.signal") { WriteHostFile(data + "/standby.signal", ""); }
  SUBCASE("one that only velapg asks for it") {}
  CHECK(Import("main").warnings[0].find("`velapg start --recover`") != std::string::npos);
}

TEST_CASE_FIXTURE(BackupFixture, "CREATE TABLESPACE in the WAL has no location in the branch") {
  WalBuilder wal(2);
  wal.FillSegment(32);
  wal.Add(CreateTablespaceRecord(16400, production));
  fs::remove_all(data + "/pg_wal");
  for (const auto& [name, bytes] : wal.Segments()) WriteHostFile(data + "/pg_wal/" + name, bytes);
  fs::remove(data + "/backup_label");
  const ImportResult result = Import("main");
  REQUIRE(result.warnings.size() == 2);
  CHECK(result.warnings[0].find("its WAL makes a tablespace") != std::string::npos);
  CheckContent("postgresql.auto.conf", "\nallow_in_place_tablespaces = on\n");

  std::string emptied = TablespaceData(16400, production);
  emptied[4] = '\0';
  WalBuilder expected(2);
  expected.FillSegment(32);
  expected.Add(WalRecord(5, 0, emptied));
  for (const auto& [name, bytes] : expected.Segments()) CheckContent("pg_wal/" + name, bytes);
  for (const auto& [name, bytes] : wal.Segments()) {
    CHECK(ReadHostFile(data + "/pg_wal/" + name) == bytes);
  }
}

}  // namespace
}  // namespace velafs::store
