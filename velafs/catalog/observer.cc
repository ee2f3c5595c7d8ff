#include "velafs/catalog/observer.h"

#include <array>
#include <map>
#include <string_view>
#include <utility>

#include "velafs/catalog/schema.h"
#include "velafs/catalog/statements.h"
#include "velafs/sql/database.h"

namespace velafs::catalog {
namespace {

// Each selects a sentence for every row that breaks a rule. A layer's state: 1 head, 2 frozen,
// 3 sealed; types in a mode, of 61440: 32768 a regular file's, 16384 a directory's.
constexpr std::array<std::string_view, 13> kRules = {
    R"(SELECT 'branch "' || name || '" stands on layer ' || head || ', which is no head'
       FROM branches JOIN layers ON layers.id = head WHERE state <> 1)",
    R"(SELECT 'layer ' || head || ' is the head of ' || count(*) || ' branches'
       FROM branches GROUP BY head HAVING count(*) > 1)",
    R"(SELECT 'layer ' || id || ' is a head, but no branch''s'
       FROM layers WHERE state = 1 AND id NOT IN (SELECT head FROM branches))",
    R"(SELECT 'layer ' || above.id || ' stands on layer ' || below.id || ', which may change'
       FROM layers above JOIN layers below ON below.id = above.parent WHERE below.state < 2)",
    R"(SELECT 'layer ' || id || ' does not stand on an older one'
       FROM layers WHERE parent >= id)",
    R"(SELECT 'bookmark "' || branches.name || '@' || bookmarks.name || '" stands on layer '
           || layer || ', which may change'
       FROM bookmarks JOIN branches ON branches.id = branch JOIN layers ON layers.id = layer
       WHERE state < 2)",
    R"(SELECT 'branch "' || name || '" has no top directory'
       FROM branches WHERE root NOT IN (SELECT ino FROM inodes))",
    R"(SELECT 'name "' || CAST(name AS TEXT) || '" in directory ' || directory || ' of layer '
           || layer || ' leads to inode ' || ino || ', which is nowhere'
       FROM names WHERE ino <> 0 AND NOT EXISTS (SELECT 1 FROM inodes WHERE inodes.ino = names.ino))",
    // No damage are whiteouts of directories that are nowhere: earlier merges have left some.
    R"(SELECT DISTINCT 'layer ' || layer || ' has names of directory ' || directory
           || ', but not the directory'
       FROM names WHERE NOT EXISTS
         (SELECT 1 FROM inodes WHERE inodes.ino = directory AND inodes.layer = names.layer)
         AND (ino <> 0 OR EXISTS (SELECT 1 FROM inodes WHERE inodes.ino = directory)))",
    R"(SELECT 'directory ' || ino || ' has ' || count(*) || ' names in layer ' || layer
       FROM names WHERE ino <> 0 AND EXISTS
         (SELECT 1 FROM inodes WHERE inodes.ino = names.ino AND mode & 61440 = 16384)
       GROUP BY layer, ino HAVING count(*) > 1)",
    R"(SELECT 'name "' || CAST(name AS TEXT) || '" in directory ' || directory || ' of layer '
           || layer || ' leads to a top directory'
       FROM names WHERE ino IN (SELECT root FROM branches UNION ALL SELECT root FROM bookmarks))",
    R"(SELECT 'the manifest of inode ' || i.ino || ' in layer ' || i.layer || ' is not whole'
       FROM inodes i JOIN layers ON layers.id = i.layer
       WHERE (state = 3 AND born_here = 1 AND nlink > 0 AND mode & 61440 = 32768
           OR inherited_bytes IS NOT NULL)
         AND ((size_bytes + 67108863) / 67108864 <> (SELECT count(*)
             FROM manifests m WHERE m.layer = i.layer AND m.ino = i.ino)
           OR EXISTS (SELECT 1 FROM manifests m WHERE m.layer = i.layer AND m.ino = i.ino
             AND length(chunks) > 0
             AND length(chunks) / 32 <> min(1024, (size_bytes + 65535) / 65536 - part * 1024))))",
    R"(SELECT 'inode number ' || max(ino) || ' is in use, and will be given again'
       FROM inodes HAVING max(ino) >= (SELECT next FROM sequences WHERE name = 'inode'))",
};

}  // namespace

struct Observer::State {
  std::unique_ptr<sql::Database> database;
  std::unique_ptr<Statements> statements;
};

Observer::Observer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Observer::~Observer() = default;

Result<std::unique_ptr<Observer>> Observer::Open(const std::string& path) {
  auto state = std::make_unique<State>();
  const auto connect = [&]() -> Status {
    VELAFS_ASSIGN(state->database,
                  sql::Database::Open(path, kBusyTimeoutMs, sql::Database::Access::kReadOnly));
    return CheckSchema(*state->database);
  };
  const auto open = [&]() -> Status {
    VELAFS_TRY(connect());
    VELAFS_ASSIGN(const int64_t version, state->database->Integer("PRAGMA user_version"));
    if (version < kSchemaVersion) {
      state->database.reset();
      VELAFS_TRY(Catalog::Open(path).status());
      VELAFS_TRY(connect());
    }
    VELAFS_TRY(state->database->Execute(
        "PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF"));
    VELAFS_ASSIGN(state->statements, Statements::Prepare(*state->database));
    return {};
  };
  VELAFS_TRY(open().WithContext("cannot open catalog \"" + path + "\""));
  return std::unique_ptr<Observer>(new Observer(std::move(state)));
}

Status Observer::Read(const std::function<Status(Reader&)>& body) {
  VELAFS_ASSIGN(sql::Transaction transaction,
                sql::Transaction::Begin(*state_->database, sql::Transaction::Kind::kRead));
  Reader reader(*state_->statements);
  VELAFS_TRY(body(reader));
  return transaction.Commit();
}

Result<std::vector<std::string>> Observer::FindDamage() {
  VELAFS_ASSIGN(sql::Transaction transaction,
                sql::Transaction::Begin(*state_->database, sql::Transaction::Kind::kRead));
  std::vector<std::string> found;
  const auto run = [&](std::string_view text, const auto& take) -> Status {
    VELAFS_ASSIGN(sql::Statement statement, state_->database->Prepare(text));
    sql::Query query(statement);
    return query.ForEach("the catalog's check", take);
  };
  VELAFS_TRY(run("PRAGMA integrity_check(100)", [&](sql::Query& row) {
    if (row.Text(0) != "ok") found.emplace_back(row.Text(0));
  }));
  // What follows would stumble over the same.
  if (!found.empty()) return found;
  std::map<std::pair<std::string, std::string>, uint64_t> dangling;
  VELAFS_TRY(run("PRAGMA foreign_key_check", [&](sql::Query& row) {
    ++dangling[{std::string(row.Text(0)), std::string(row.Text(2))}];
  }));
  for (const auto& [tables, rows] : dangling) {
    const auto& [table, referenced] = tables;
    found.push_back((rows == 1 ? "a row" : std::to_string(rows) + " rows") + " of " + table +
                    (rows == 1 ? " refers" : " refer") + " to one of " + referenced +
                    " that is not there");
  }
  for (const std::string_view rule : kRules) {
    VELAFS_TRY(run(std::string(rule) + " LIMIT 100",
                   [&](sql::Query& row) { found.emplace_back(row.Text(0)); }));
  }
  return found;
}

Status Observer::CopyTo(const std::string& path) {
  VELAFS_ASSIGN(sql::Statement copy, state_->database->Prepare("VACUUM INTO ?1"));
  return sql::Query(copy, std::string_view(path)).Run();
}

}  // namespace velafs::catalog
