#include "velafs/sql/database.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <fstream>
#include <vector>

#include "tests/os/scratch_directory.h"
#include "tests/os/volatile_storage.h"
#include "tests/sql/storage_vfs.h"

namespace velafs::sql {
namespace {

using test::ScratchDirectory;
using test::StorageForSqlite;
using test::VolatileStorage;

struct Fixture {
  ScratchDirectory directory;
  std::unique_ptr<Database> database = OpenNew(directory / "test.db");

  static std::unique_ptr<Database> OpenNew(const std::string& path) {
    std::ofstream(path).close();
    auto opened = Database::Open(path, 0);
    REQUIRE(opened.ok());
    REQUIRE((*opened)->Execute("CREATE TABLE t(k INTEGER PRIMARY KEY, v ANY) STRICT").ok());
    return *std::move(opened);
  }
  int64_t Count() { return *database->Integer("SELECT count(*) FROM t"); }
};

TEST_CASE_FIXTURE(Fixture, "every type comes back as it was bound, the empty ones too") {
  auto insert = database->Prepare("INSERT INTO t(v) VALUES (?1)");
  REQUIRE(insert.ok());
  const std::string zeros("a\0b", 3);
  REQUIRE(Query(*insert, int64_t{-5}).Run().ok());
  REQUIRE(Query(*insert, InodeNumber(7)).Run().ok());
  REQUIRE(Query(*insert, std::string_view("text")).Run().ok());
  REQUIRE(Query(*insert, std::string_view()).Run().ok());
  REQUIRE(Query(*insert, AsBlob(zeros)).Run().ok());
  REQUIRE(Query(*insert, Blob()).Run().ok());
  REQUIRE(Query(*insert, std::optional<uint64_t>()).Run().ok());

  auto select = database->Prepare("SELECT v FROM t ORDER BY k");
  REQUIRE(select.ok());
  Query query(*select);
  REQUIRE(*query.Next());
  CHECK(query.Signed(0) == -5);
  REQUIRE(*query.Next());
  CHECK(query.IdAt<InodeNumber>(0) == InodeNumber(7));
  REQUIRE(*query.Next());
  CHECK(query.Text(0) == "text");
  REQUIRE(*query.Next());
  CHECK(query.Text(0).empty());
  REQUIRE(*query.Next());
  CHECK(AsBytes(query.Bytes(0)) == zeros);
  REQUIRE(*query.Next());
  CHECK(query.Bytes(0).empty());
  REQUIRE(*query.Next());
  CHECK(query.IsNull(0));
  CHECK(query.CheckRow("t").ok());
  CHECK_FALSE(*query.Next());
}

TEST_CASE_FIXTURE(Fixture, "a column of another type or range than asked for is corruption") {
  REQUIRE(database->Execute("INSERT INTO t(v) VALUES ('text'), (-1), (300), (x'00')").ok());
  auto select = database->Prepare("SELECT v FROM t WHERE k = ?1");
  REQUIRE(select.ok());
  const auto status_of = [&](int key, auto take) {
    Query query(*select, key);
    return query.ForEach("t", take);
  };
  CHECK(status_of(1, [](Query& q) { q.Signed(0); }).code() == Code::kCorrupt);
  CHECK(status_of(1, [](Query& q) { q.Bytes(0); }).code() == Code::kCorrupt);
  CHECK(status_of(2, [](Query& q) { q.Unsigned(0); }).code() == Code::kCorrupt);
  CHECK(status_of(2, [](Query& q) { q.Signed(0); }).ok());
  CHECK(status_of(3, [](Query& q) { q.Unsigned(0, 255); }).code() == Code::kCorrupt);
  CHECK(status_of(4, [](Query& q) { q.Text(0); }).message() == "a row of t is malformed");
}

TEST_CASE_FIXTURE(Fixture, "a number that does not fit is refused, not wrapped") {
  auto insert = database->Prepare("INSERT INTO t(v) VALUES (?1)");
  REQUIRE(insert.ok());
  CHECK(Query(*insert, uint64_t{1} << 63).Run().error_number() == EOVERFLOW);
  CHECK(Count() == 0);
}

TEST_CASE_FIXTURE(Fixture, "a transaction that is not committed leaves no trace") {
  {
    auto transaction = Transaction::Begin(*database, Transaction::Kind::kWrite);
    REQUIRE(transaction.ok());
    REQUIRE(database->Execute("INSERT INTO t(v) VALUES (1)").ok());
  }
  CHECK(Count() == 0);
  auto transaction = Transaction::Begin(*database, Transaction::Kind::kWrite);
  REQUIRE(transaction.ok());
  REQUIRE(database->Execute("INSERT INTO t(v) VALUES (1)").ok());
  REQUIRE(transaction->Commit().ok());
  CHECK(Count() == 1);
}

TEST_CASE_FIXTURE(Fixture, "a database without room fails with ENOSPC and stays usable") {
  const int64_t pages = *database->Integer("PRAGMA page_count");
  REQUIRE(database->Execute("PRAGMA max_page_count = " + std::to_string(pages + 2)).ok());
  auto insert = database->Prepare("INSERT INTO t(v) VALUES (zeroblob(100000))");
  REQUIRE(insert.ok());
  {
    auto transaction = Transaction::Begin(*database, Transaction::Kind::kWrite);
    REQUIRE(transaction.ok());
    const Status full = Query(*insert).Run();
    CHECK(full.code() == Code::kFailed);
    CHECK(full.error_number() == ENOSPC);
    CHECK(full.message() == "No space left on device");
  }
  REQUIRE(database->Execute("INSERT INTO t(v) VALUES (1)").ok());
  CHECK(Count() == 1);
}

TEST_CASE("an error of the disk is one, and no damage of the database") {
  VolatileStorage storage(1);
  const StorageForSqlite redirect("/disk/", storage);
  storage.MakeDurableDirectories("/disk");
  REQUIRE(storage.Open("/disk/test.db", os::OpenMode::kCreate).ok());
  auto database = Database::Open("/disk/test.db", 0);
  REQUIRE(database.ok());
  REQUIRE((*database)->Execute("CREATE TABLE t(v ANY) STRICT; INSERT INTO t VALUES (1)").ok());
  storage.CutOff();
  const Status failed = (*database)->Execute("SELECT v FROM t");
  CHECK(failed.code() == Code::kFailed);
  CHECK(failed.error_number() == EIO);
  CHECK(failed.message() == "cannot read \"/disk/test.db\": Input/output error");
  CHECK(failed.hint().find("dmesg") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "a log that is to be kept is there when the database is closed") {
  REQUIRE(database->Text("PRAGMA journal_mode = WAL").ok());
  database->KeepLogFile();
  REQUIRE(database->Execute("INSERT INTO t(v) VALUES (1)").ok());
  database.reset();
  CHECK(std::ifstream(directory / "test.db-wal").good());
}

TEST_CASE_FIXTURE(Fixture, "after SQLite rolled a transaction back nothing more runs in it") {
  auto insert = database->Prepare("INSERT INTO t(v) VALUES (?1)");
  REQUIRE(insert.ok());
  {
    auto transaction = Transaction::Begin(*database, Transaction::Kind::kWrite);
    REQUIRE(transaction.ok());
    // What SQLite does on its own for some errors, as a failed write.
    REQUIRE(database
                ->Execute("CREATE TEMP TRIGGER r BEFORE INSERT ON t WHEN new.v = 1 "
                          "BEGIN SELECT RAISE(ROLLBACK, 'gone'); END")
                .ok());
    CHECK_FALSE(Query(*insert, 1).Run().ok());
    CHECK_FALSE(Query(*insert, 2).Run().ok());
    CHECK_FALSE(transaction->Commit().ok());
  }
  CHECK(Count() == 0);
  REQUIRE(Query(*insert, 3).Run().ok());
  CHECK(Count() == 1);
}

TEST_CASE_FIXTURE(Fixture, "a taken key is Exists, and the transaction goes on") {
  auto transaction = Transaction::Begin(*database, Transaction::Kind::kWrite);
  REQUIRE(transaction.ok());
  auto insert = database->Prepare("INSERT INTO t(k) VALUES (?1)");
  REQUIRE(insert.ok());
  REQUIRE(Query(*insert, 1).Run().ok());
  CHECK(Query(*insert, 1).Run().code() == Code::kExists);
  REQUIRE(Query(*insert, 2).Run().ok());
  REQUIRE(transaction->Commit().ok());
  CHECK(Count() == 2);
}

TEST_CASE_FIXTURE(Fixture, "a database that another connection writes to is Locked") {
  auto other = Database::Open(directory / "test.db", 0);
  REQUIRE(other.ok());
  auto transaction = Transaction::Begin(**other, Transaction::Kind::kWrite);
  REQUIRE(transaction.ok());
  CHECK(Transaction::Begin(*database, Transaction::Kind::kWrite).status().code() == Code::kLocked);
}

TEST_CASE("a file that is no database is Corrupt when first read") {
  ScratchDirectory directory;
  std::ofstream(directory / "text") << std::string(4096, 'x');
  auto database = Database::Open(directory / "text", 0);
  REQUIRE(database.ok());
  CHECK((*database)->Integer("PRAGMA user_version").status().code() == Code::kCorrupt);
}

// SQLite gives the pragma's answer before it ends the transaction that makes it true.
TEST_CASE("a database that says it keeps a log keeps one") {
  bool was_struck = true;
  for (uint64_t failure = 0; was_struck; ++failure) {
    INFO("failure after ", failure, " changes");
    VolatileStorage disk(1);
    const StorageForSqlite sqlite("/sql", disk);
    disk.MakeDurableDirectories("/sql");
    REQUIRE(disk.Open("/sql/test.db", os::OpenMode::kCreateNew).ok());
    bool says_so = false;
    {
      auto database = Database::Open("/sql/test.db", 0);
      REQUIRE(database.ok());
      REQUIRE((*database)->Execute("PRAGMA synchronous = NORMAL").ok());
      disk.FailAfter(failure, ENOSPC);
      const auto mode = (*database)->Text("PRAGMA journal_mode = WAL");
      was_struck = !disk.CancelFailure();
      says_so = mode.ok() && *mode == "wal";
      CHECK((says_so || was_struck));
    }
    auto database = Database::Open("/sql/test.db", 0);
    REQUIRE(database.ok());
    if (says_so) CHECK(*(*database)->Text("PRAGMA journal_mode") == "wal");
  }
}

TEST_CASE("a missing file is not made") {
  ScratchDirectory directory;
  CHECK_FALSE(Database::Open(directory / "none", 0).ok());
  CHECK_FALSE(std::ifstream(directory / "none").good());
}

}  // namespace
}  // namespace velafs::sql
