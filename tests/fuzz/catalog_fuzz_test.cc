// Catalogs in which anything may stand: opening, listing, reading and scrubbing them fails in
// words, or works.
#include "tests/fuzz/fuzz.h"
#include "tests/store/broken_store.h"
#include "velafs/layer/volume.h"
#include "velafs/sql/database.h"
#include "velafs/store/bookmark_verbs.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/govern/govern_verbs.h"
#include "velafs/store/govern/usage_verbs.h"
#include "velafs/store/replace_verbs.h"
#include "velafs/store/scrub/scrub.h"
#include "velafs/store/state_verbs.h"
#include "velafs/store/tablespace_verbs.h"
#include "velafs/store/trash_verbs.h"
#include "velafs/store/upkeep_verbs.h"

namespace velafs::store {
namespace {

using namespace test;

struct Column {
  std::string table;
  std::string name;
};

std::vector<Column> ColumnsOf(const std::string& catalog) {
  std::vector<Column> columns;
  auto database = sql::Database::Open(catalog, 0);
  REQUIRE(database.ok());
  auto statement = (*database)->Prepare(
      "SELECT m.name, c.name FROM sqlite_schema m, pragma_table_info(m.name) c"
      " WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY 1, 2");
  REQUIRE(statement.ok());
  sql::Query query(*statement);
  REQUIRE(query
              .ForEach("columns",
                       [&](sql::Query& row) {
                         columns.push_back({std::string(row.Text(0)), std::string(row.Text(1))});
                       })
              .ok());
  return columns;
}

std::string Hex(const std::string& bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text += kDigits[static_cast<unsigned char>(c) >> 4];
    text += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

// A value that somebody could have written there, as SQL.
std::string Value(Decisions& decisions, const std::string& column) {
  static const std::vector<std::string> kValues = {"0",
                                                   "1",
                                                   "-1",
                                                   "2",
                                                   "3",
                                                   "7",
                                                   "255",
                                                   "65536",
                                                   "2147483648",
                                                   "4294967295",
                                                   "4294967296",
                                                   "1099511627776",
                                                   "9223372036854775807",
                                                   "-9223372036854775808",
                                                   "NULL",
                                                   "''",
                                                   "'x'",
                                                   "'../../etc'",
                                                   "'a/b'",
                                                   "x''",
                                                   "x'00'",
                                                   "zeroblob(32)",
                                                   "zeroblob(1000000)"};
  switch (decisions.Below(8)) {
    case 0:
      return column + " + 1";
    case 1:
      return column + " - 1";
    case 2:
      return "x'" + Hex(decisions.Bytes(64)) + "'";
    case 3:
      return "CAST(x'" + Hex(decisions.Bytes(64)) + "' AS TEXT)";
    case 4:
      return column + " || x'" + Hex(decisions.Bytes(40)) + "'";
    case 5:
      return "substr(" + column + ", 1, length(" + column + ") - 1)";
    default:
      return decisions.OneOf(kValues);
  }
}

// One change of rows, as its statement.
std::string Change(Decisions& decisions, const std::vector<Column>& columns) {
  const Column& column = decisions.OneOf(columns);
  switch (decisions.Below(8)) {
    case 0:
      return "DELETE FROM " + column.table + " WHERE " + column.name + " = (SELECT max(" +
             column.name + ") FROM " + column.table + ")";
    case 1:
      return "DELETE FROM " + column.table;
    case 2:
      return "INSERT OR IGNORE INTO " + column.table + " SELECT * FROM " + column.table;
    case 3:
      return "UPDATE OR IGNORE " + column.table + " SET " + column.name + " = " +
             Value(decisions, column.name);
    default:
      return "UPDATE OR IGNORE " + column.table + " SET " + column.name + " = " +
             Value(decisions, column.name) + " WHERE " + column.name + " = (SELECT " + column.name +
             " FROM " + column.table + " LIMIT 1 OFFSET " + std::to_string(decisions.Below(8)) +
             ")";
  }
}

struct CatalogFuzz : BrokenStore {
  CatalogFuzz() {
    whole = ReadHostFile(CatalogFile());
    columns = ColumnsOf(CatalogFile());
    whole = ReadHostFile(CatalogFile());
  }

  void Restore() {
    store.reset();
    for (const char* suffix : {"-wal", "-shm"}) fs::remove(CatalogFile() + suffix);
    fs::remove_all(root + "/copies");
    fs::remove_all(root + "/lost+found");
    WriteHostFile(CatalogFile(), whole);
  }
  void ApplyRows(const std::string& input) {
    Decisions decisions(input);
    auto database = sql::Database::Open(CatalogFile(), 0);
    REQUIRE(database.ok());
    // No rule of the tables stands in the way.
    REQUIRE((*database)
                ->Execute("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;"
                          "DROP TRIGGER IF EXISTS audit_keeps_rows;"
                          "DROP TRIGGER IF EXISTS audit_keeps_fields")
                .ok());
    for (int changes = 0; changes < 6 && decisions.any_left(); ++changes) {
      (void)(*database)->Execute(Change(decisions, columns));
    }
  }
  // Each branch's names and content, as deep as a sound store has them.
  void Walk(layer::Branch& branch, InodeNumber directory, int depth) {
    if (depth > 6) return;
    std::vector<InodeNumber> below;
    for (const char* name : {"base", "5", "1259", "global", "pg_control", "PG_VERSION", "new"}) {
      const auto found = branch.Lookup(directory, name);
      if (!found.ok()) continue;
      if (S_ISDIR(found->mode)) {
        below.push_back(found->ino);
      } else if (S_ISREG(found->mode)) {
        std::string bytes(100'000, '?');
        (void)branch.Read(found->ino, 0, std::as_writable_bytes(std::span(bytes)));
        (void)branch.Read(found->ino, found->size_bytes / 2,
                          std::as_writable_bytes(std::span(bytes)));
      }
    }
    for (const InodeNumber ino : below) Walk(branch, ino, depth + 1);
  }
  void Use() {
    auto opened = Store::Open(root);
    if (!opened.ok()) return;
    store = *std::move(opened);
    ++opened_count;
    const auto list = store->branches().List();
    if (!list.ok()) CHECK(list.status().code() == Code::kCorrupt);
    (void)store->trash().List();
    (void)store->bookmarks().List({});
    (void)store->usage().Stats();
    (void)store->audit_log().Verify({});
    (void)store->audit_log().List({});
    (void)store->audit_log().Unshipped("x", {});
    (void)store->governance().ShowPolicies({});
    for (const char* name : {"main", "dev"}) {
      const auto branch = store->volume().Open(name);
      if (branch.ok()) Walk(**branch, (*branch)->root(), 0);
      (void)store->branches().Show(name);
      (void)store->tablespaces().List(name);
    }
    (void)store->states().Diff("main", "dev");
    (void)store->branches().Clone(caller, "dev@then", "made", {});
    (void)store->replacing().Reset(caller, "dev", {}, {});
    (void)store->upkeep().Expire(caller, false);
    ScrubOptions options;
    (void)store::ScrubOpenStore(store->context(), options, nullptr);
    (void)store->trash().Delete(caller, "dev", {.force = true, .purge = true, .dry_run = false});
    store.reset();
  }

  std::string whole;
  std::vector<Column> columns;
  uint64_t opened_count = 0;  // how many of the catalogs were let pass
};

TEST_CASE_FIXTURE(CatalogFuzz, "fuzz: rows of a catalog may be anything") {
  std::vector<std::string> seeds;
  for (uint64_t i = 0; i < 16; ++i) seeds.push_back(Noise(60, i));
  Fuzz("catalog_rows", seeds, [&](const std::string& input) {
    Restore();
    ApplyRows(input);
    Use();
  });
  CHECK(opened_count > 0);  // else nothing but the opening was tried
}

TEST_CASE_FIXTURE(CatalogFuzz, "fuzz: the bytes of a catalog may be anything") {
  // An input says what is changed: the catalog is too large for one.
  std::vector<std::string> seeds;
  for (uint64_t i = 0; i < 16; ++i) seeds.push_back(Noise(20, i));
  Fuzz("catalog_bytes", seeds, [&](const std::string& input) {
    Restore();
    Decisions decisions(input);
    std::string bytes = whole;
    for (int changes = 0; changes < 20 && decisions.any_left(); ++changes) {
      const size_t at = decisions.Below(bytes.size());
      bytes[at] = static_cast<char>(decisions.Number(1));
    }
    WriteHostFile(CatalogFile(), bytes);
    Use();
  });
}

}  // namespace
}  // namespace velafs::store
