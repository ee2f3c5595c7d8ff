// Transactions, durability, opening, recovery and damage.
#include "velafs/catalog/catalog.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "tests/catalog/catalog_fixture.h"
#include "velafs/catalog/statements.h"
#include "velafs/sql/database.h"

namespace velafs::catalog {
namespace {

// Changes the database behind the catalog's back, which must be closed.
void Damage(const std::string& path, const std::string& text) {
  auto database = sql::Database::Open(path, 0);
  REQUIRE(database.ok());
  REQUIRE((*database)->Execute("PRAGMA ignore_check_constraints = ON").ok());
  const Status done = (*database)->Execute(text);
  REQUIRE_MESSAGE(done.ok(), done.message());
}

size_t LayerCount(CatalogFixture& fixture) {
  size_t count = 0;
  fixture.Read([&](Reader& reader) -> Status {
    VELAFS_ASSIGN(const auto layers, reader.Layers());
    count = layers.size();
    return {};
  });
  return count;
}

TEST_CASE_FIXTURE(CatalogFixture, "a body that fails leaves no trace") {
  const CommitSequence before = catalog->LastCommit();
  const auto written = catalog->Write([](Writer& writer) -> Status {
    VELAFS_TRY(writer.AddLayer({}, LayerState::kHead).status());
    VELAFS_TRY(writer.ReserveInodes(5).status());
    return Refused("no");
  });
  CHECK(written.status().message() == "no");
  CHECK(catalog->LastCommit() == before);
  CHECK(LayerCount(*this) == 0);
  Write([](Writer& writer) -> Status {
    VELAFS_ASSIGN(const InodeNumber ino, writer.ReserveInodes(1));
    CHECK(ino == InodeNumber(1));
    return {};
  });
}

TEST_CASE_FIXTURE(CatalogFixture, "a read that fails says so and the catalog goes on") {
  CHECK(catalog->Read([](Reader&) { return NotFound("nothing"); }).code() == Code::kNotFound);
  AddLayer();
  CHECK(LayerCount(*this) == 1);
}

TEST_CASE_FIXTURE(CatalogFixture,
                  "commits are numbered in order, and one that changed nothing is not") {
  CHECK(catalog->LastCommit() == 0);
  AddLayer();
  CHECK(catalog->LastCommit() == 1);
  CHECK(Write([](Writer& writer) { return writer.Layers().status(); }) == 1);
  CHECK(catalog->LastDurable() == 0);
  CHECK(catalog->MakeDurable(1).ok());
  CHECK(catalog->LastDurable() == 1);
}

TEST_CASE_FIXTURE(CatalogFixture, "many threads write and wait for durability at once") {
  constexpr int kThreads = 8;
  constexpr int kWritesEach = 25;
  std::atomic<int> failures = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < kWritesEach; ++n) {
        const auto written = catalog->Write(
            [](Writer& writer) { return writer.AddLayer({}, LayerState::kHead).status(); });
        if (!written.ok() || !catalog->MakeDurable(*written).ok() ||
            catalog->LastDurable() < *written) {
          ++failures;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(failures == 0);
  CHECK(catalog->LastCommit() == kThreads * kWritesEach);
  CHECK(LayerCount(*this) == kThreads * kWritesEach);
}

TEST_CASE_FIXTURE(CatalogFixture,
                  "a catalog survives a kill with every committed transaction and no other") {
  catalog.reset();
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    auto opened = Catalog::Open(path);
    if (!opened.ok()) _exit(1);
    for (int i = 0; i < 10; ++i) {
      if (!(*opened)
               ->Write([](Writer& w) { return w.AddLayer({}, LayerState::kHead).status(); })
               .ok()) {
        _exit(2);
      }
    }
    (void)(*opened)->Write([](Writer& writer) -> Status {
      if (!writer.AddLayer({}, LayerState::kHead).ok()) _exit(3);
      _exit(0);  // in the middle of a transaction
    });
    _exit(4);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  REQUIRE(std::filesystem::file_size(path + "-wal") > 0);
  Reopen();
  CHECK(LayerCount(*this) == 10);
  // Recovery itself makes durable what it shows.
  CHECK(std::filesystem::file_size(path + "-wal") == 0);
  CHECK(AddLayer() == LayerId(11));
}

TEST_CASE_FIXTURE(CatalogFixture,
                  "the log stays one file, which is empty when the catalog has been closed") {
  const auto log_inode = [&] {
    struct stat st {};
    REQUIRE(stat((path + "-wal").c_str(), &st) == 0);
    return st.st_ino;
  };
  const auto first = log_inode();
  InodeRow inode;
  const LayerId layer = AddLayer();
  for (uint64_t i = 1; i <= 3000; ++i) {  // enough to be emptied and begun anew on the way
    inode.ino = InodeNumber(i);
    inode.target.assign(3000, 'x');
    const CommitSequence written = Write([&](Writer& w) { return w.PutInode(layer, inode); });
    if (i % 500 == 0) REQUIRE(catalog->MakeDurable(written).ok());
  }
  CHECK(std::filesystem::file_size(path + "-wal") < 64u << 20);
  CHECK(log_inode() == first);
  catalog.reset();
  CHECK(log_inode() == first);
  CHECK(std::filesystem::file_size(path + "-wal") == 0);
}

TEST_CASE_FIXTURE(CatalogFixture, "the catalog and its log are readable by their owner only") {
  AddLayer();
  for (const char* suffix : {"", "-wal"}) {
    struct stat st {};
    REQUIRE(stat((path + suffix).c_str(), &st) == 0);
    CHECK((st.st_mode & 0777) == 0600);
  }
  // Through a mapping a full disk is a signal.
  CHECK_FALSE(std::filesystem::exists(path + "-shm"));
}

TEST_CASE_FIXTURE(CatalogFixture,
                  "a catalog is not made where there is one, nor opened where there is none") {
  const Status again = Catalog::Create(path);
  CHECK(again.code() == Code::kExists);
  CHECK(Catalog::Open(directory / "none").status().code() == Code::kNotFound);
}

TEST_CASE("what an interrupted creation left is no hindrance") {
  test::ScratchDirectory directory;
  std::ofstream(directory / "catalog.db.new") << "half";
  std::ofstream(directory / "catalog.db-wal") << "of one that is no more";
  REQUIRE(Catalog::Create(directory / "catalog.db").ok());
  CHECK(Catalog::Open(directory / "catalog.db").ok());
  CHECK_FALSE(std::filesystem::exists(directory / "catalog.db.new"));
}

TEST_CASE("a file that is not a database is Corrupt, and so is one that is not a catalog") {
  test::ScratchDirectory directory;
  const std::string path = directory / "catalog.db";
  std::ofstream(path) << std::string(8192, 'x');
  CHECK(Catalog::Open(path).status().code() == Code::kCorrupt);
  std::ofstream(path, std::ios::trunc).close();
  CHECK(Catalog::Open(path).status().code() == Code::kCorrupt);
  Damage(path, "CREATE TABLE other(x)");
  const Status other = Catalog::Open(path).status();
  CHECK(other.code() == Code::kCorrupt);
  CHECK(other.message() == "cannot open catalog \"" + path + "\": it is not a velafs catalog");
  // It was not touched: not even its journal mode.
  CHECK_FALSE(std::filesystem::exists(path + "-wal"));
}

TEST_CASE_FIXTURE(CatalogFixture, "a later schema version is refused in words") {
  catalog.reset();
  const std::string known = std::to_string(kSchemaVersion);
  const std::string next = std::to_string(kSchemaVersion + 1);
  Damage(path, "PRAGMA user_version = " + next);
  const Status later = Catalog::Open(path).status();
  CHECK(later.code() == Code::kFailed);
  CHECK(later.message() == "cannot open catalog \"" + path + "\": its schema version is " + next +
                               ", and this velafs knows versions up to " + known);
  CHECK(later.hint() == "use the velafs that wrote it, or a later one");
}

TEST_CASE_FIXTURE(CatalogFixture, "a missing table is Corrupt at once") {
  catalog.reset();
  Damage(path, "DROP TABLE manifests");
  CHECK(Catalog::Open(path).status().code() == Code::kCorrupt);
}

TEST_CASE_FIXTURE(CatalogFixture, "rows that cannot be are Corrupt when read") {
  const LayerId layer = AddLayer();
  AddBranch(SomeBranch("main", layer, 1));
  Write([&](Writer& writer) -> Status {
    InodeRow inode;
    inode.ino = InodeNumber(5);
    VELAFS_TRY(writer.PutInode(layer, inode));
    VELAFS_TRY(writer.PutName(layer, {InodeNumber(1), "f", InodeNumber(5)}));
    VELAFS_TRY(writer.PutManifestPart(layer, InodeNumber(5), 0, {}));
    ChunkId id;
    id.bytes[0] = 1;
    return writer.PutChunk(id, {PackId(1), 24, 10, 10, Codec::kNone});
  });
  catalog.reset();
  struct Case {
    const char* damage;
    std::function<Status(Reader&)> read;
  };
  const auto names = [&](Reader& r) { return r.Names(layer, InodeNumber(1)).status(); };
  const auto inodes = [&](Reader& r) { return r.Inodes(InodeNumber(5)).status(); };
  const auto part = [&](Reader& r) { return r.ManifestPart(layer, InodeNumber(5), 0).status(); };
  const auto chain = [&](Reader& r) { return r.Chain(layer).status(); };
  const auto chunk = [&](Reader& r) {
    ChunkId id;
    id.bytes[0] = 1;
    return r.Chunk(id).status();
  };
  const Case cases[] = {
      {"UPDATE names SET name = x'2f'", names},
      {"UPDATE names SET ino = -1", names},
      {"UPDATE inodes SET mode = 1 << 40", inodes},
      {"UPDATE inodes SET size_bytes = -5", inodes},
      {"UPDATE inodes SET born_here = 2", inodes},
      {"UPDATE manifests SET chunks = x'0011'", part},
      {"UPDATE manifests SET chunks = zeroblob(32 * 1025)", part},
      {"UPDATE layers SET parent = id", chain},  // a chain without end
      {"UPDATE layers SET parent = NULL, state = 9", chain},
      {"UPDATE chunks SET codec = 7", chunk},
      {"UPDATE chunks SET raw_bytes = 65537", chunk},
      {"UPDATE chunks SET stored_bytes = 0", chunk},
      {"UPDATE branches SET head = 0", [](Reader& r) { return r.Branches().status(); }},
  };
  for (const Case& c : cases) {
    CAPTURE(c.damage);
    Damage(path, c.damage);
    Reopen();
    CHECK(catalog->Read(c.read).code() == Code::kCorrupt);
    catalog.reset();
  }
}

TEST_CASE_FIXTURE(CatalogFixture,
                  "a page of rubbish in the middle of the catalog is Corrupt, not a crash") {
  const LayerId layer = AddLayer();
  Write([&](Writer& writer) -> Status {
    for (uint64_t i = 1; i < 2000; ++i) {
      VELAFS_TRY(
          writer.PutName(layer, {InodeNumber(1), "name" + std::to_string(i), InodeNumber(i)}));
    }
    return {};
  });
  catalog.reset();
  const auto size = std::filesystem::file_size(path);
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(size - size % 4096 - 8 * 4096));
    file << std::string(4 * 4096, '\x5a');
  }
  Reopen();
  CHECK(catalog->Read([&](Reader& r) { return r.Names(layer, InodeNumber(1)).status(); }).code() ==
        Code::kCorrupt);
}

TEST_CASE_FIXTURE(CatalogFixture, "hot loads use the primary key and nothing else") {
  catalog.reset();
  auto database = sql::Database::Open(path, 0);
  REQUIRE(database.ok());
  const auto plan_of = [&](Sql sql) {
    auto explain = (*database)->Prepare("EXPLAIN QUERY PLAN " + std::string(SqlText(sql)));
    REQUIRE(explain.ok());
    std::string plan;
    sql::Statement& statement = *explain;
    const auto collect = [&](sql::Query& row) { plan += std::string(row.Text(3)) + ";"; };
    Status status;
    switch (sql) {
      case Sql::kNames:
      case Sql::kInode:
      case Sql::kInodes:
        status = sql::Query(statement, 1, 1).ForEach("plan", collect);
        break;
      case Sql::kManifestPart:
        status = sql::Query(statement, 1, 1, 1).ForEach("plan", collect);
        break;
      default:
        status = sql::Query(statement, 1).ForEach("plan", collect);
    }
    REQUIRE(status.ok());
    return plan;
  };
  CHECK(plan_of(Sql::kNames) == "SEARCH names USING PRIMARY KEY (layer=? AND directory=?);");
  CHECK(plan_of(Sql::kInodes) == "SEARCH inodes USING PRIMARY KEY (ino=?);");
  CHECK(plan_of(Sql::kInode) == "SEARCH inodes USING PRIMARY KEY (ino=? AND layer=?);");
  CHECK(plan_of(Sql::kManifestPart) ==
        "SEARCH manifests USING PRIMARY KEY (layer=? AND ino=? AND part=?);");
  CHECK(plan_of(Sql::kChunk) == "SEARCH chunks USING PRIMARY KEY (sha256=?);");
  CHECK(plan_of(Sql::kLayer) == "SEARCH layers USING INTEGER PRIMARY KEY (rowid=?);");
  // No statement that runs often, or over a layer, reads a whole table.
  for (const Sql sql : {Sql::kLayerUses, Sql::kLayerHolds, Sql::kRemoveLayerNames,
                        Sql::kRemoveLayerInodes, Sql::kRemoveLayerManifests}) {
    CHECK(plan_of(sql).find("SCAN names") == std::string::npos);
    CHECK(plan_of(sql).find("SCAN inodes") == std::string::npos);
    CHECK(plan_of(sql).find("SCAN manifests") == std::string::npos);
    CHECK(plan_of(sql).find("SCAN layers") == std::string::npos);
  }
}

}  // namespace
}  // namespace velafs::catalog
