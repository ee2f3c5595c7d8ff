#include "velafs/catalog/schema.h"

#include <array>
#include <string>

#include "velafs/catalog/catalog.h"

namespace velafs::catalog {
namespace {

// Parents come before children, so that foreign keys hold after every statement.
constexpr char kTables[] = R"sql(
CREATE TABLE layers(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  parent INTEGER REFERENCES layers(id) CHECK(parent < id),
  state INTEGER NOT NULL CHECK(state BETWEEN 0 AND 3),
  created_at INTEGER NOT NULL,
  logical_bytes INTEGER CHECK(logical_bytes >= 0),
  stored_bytes INTEGER NOT NULL CHECK(stored_bytes >= 0),
  allocated_bytes INTEGER CHECK(allocated_bytes >= 0),
  seals INTEGER NOT NULL CHECK(seals >= 0),
  is_settled INTEGER NOT NULL CHECK(is_settled IN (0, 1))
) STRICT;
CREATE INDEX layers_by_parent ON layers(parent);

CREATE TABLE inodes(
  ino INTEGER NOT NULL CHECK(ino > 0),
  layer INTEGER NOT NULL REFERENCES layers(id),
  mode INTEGER NOT NULL,
  uid INTEGER NOT NULL,
  gid INTEGER NOT NULL,
  nlink INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL CHECK(size_bytes >= 0),
  rdev INTEGER NOT NULL,
  atime INTEGER NOT NULL,
  mtime INTEGER NOT NULL,
  ctime INTEGER NOT NULL,
  target BLOB NOT NULL,
  born_here INTEGER NOT NULL CHECK(born_here IN (0, 1)),
  inherited_bytes INTEGER CHECK(inherited_bytes >= 0),
  PRIMARY KEY(ino, layer)
) STRICT, WITHOUT ROWID;
CREATE INDEX inodes_by_layer ON inodes(layer);
CREATE INDEX inodes_sealed ON inodes(layer) WHERE inherited_bytes IS NOT NULL;

CREATE TABLE names(
  layer INTEGER NOT NULL REFERENCES layers(id),
  directory INTEGER NOT NULL CHECK(directory > 0),
  name BLOB NOT NULL CHECK(length(name) > 0),
  ino INTEGER NOT NULL CHECK(ino >= 0),
  PRIMARY KEY(layer, directory, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE manifests(
  layer INTEGER NOT NULL REFERENCES layers(id),
  ino INTEGER NOT NULL CHECK(ino > 0),
  part INTEGER NOT NULL CHECK(part >= 0),
  chunks BLOB NOT NULL CHECK(length(chunks) % 32 = 0 AND length(chunks) <= 32768),
  pages BLOB NOT NULL CHECK(length(pages) IN (0, length(chunks) / 32)),
  PRIMARY KEY(layer, ino, part)
) STRICT, WITHOUT ROWID;

CREATE TABLE packs(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  published INTEGER NOT NULL CHECK(published IN (0, 1))
) STRICT;

CREATE TABLE chunks(
  sha256 BLOB NOT NULL PRIMARY KEY CHECK(length(sha256) = 32),
  pack INTEGER NOT NULL CHECK(pack > 0),
  offset_bytes INTEGER NOT NULL CHECK(offset_bytes >= 0),
  stored_bytes INTEGER NOT NULL CHECK(stored_bytes > 0),
  raw_bytes INTEGER NOT NULL CHECK(raw_bytes BETWEEN 1 AND 65536),
  codec INTEGER NOT NULL CHECK(codec IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE TABLE branches(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  instance INTEGER NOT NULL UNIQUE CHECK(instance > 0),
  name TEXT NOT NULL,
  head INTEGER NOT NULL REFERENCES layers(id),
  root INTEGER NOT NULL CHECK(root > 0),
  parent INTEGER CHECK(parent > 0),
  parent_name TEXT NOT NULL,
  parent_bookmark INTEGER CHECK(parent_bookmark > 0),
  parent_bookmark_name TEXT NOT NULL,
  owner TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  protected INTEGER NOT NULL CHECK(protected IN (0, 1)),
  protected_until INTEGER,
  note TEXT NOT NULL,
  quota_bytes INTEGER CHECK(quota_bytes >= 0),
  port INTEGER CHECK(port BETWEEN 1 AND 65535),
  deleted_at INTEGER,
  first_layer INTEGER NOT NULL CHECK(first_layer >= 0),
  shown_uid INTEGER CHECK(shown_uid BETWEEN 0 AND 4294967295),
  shown_gid INTEGER CHECK(shown_gid BETWEEN 0 AND 4294967295),
  ephemeral INTEGER NOT NULL CHECK(ephemeral IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX branches_by_name ON branches(name) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX branches_by_port ON branches(port) WHERE deleted_at IS NULL;
CREATE INDEX branches_by_head ON branches(head);
CREATE INDEX branches_by_parent ON branches(parent);

CREATE TABLE labels(
  branch INTEGER NOT NULL REFERENCES branches(id) ON DELETE CASCADE,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY(branch, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE bookmarks(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  branch INTEGER NOT NULL REFERENCES branches(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  layer INTEGER NOT NULL REFERENCES layers(id),
  created_at INTEGER NOT NULL,
  note TEXT NOT NULL,
  expires_at INTEGER,
  scheduled INTEGER NOT NULL CHECK(scheduled IN (0, 1)),
  root INTEGER NOT NULL CHECK(root > 0),
  UNIQUE(branch, name)
) STRICT;
CREATE INDEX bookmarks_by_layer ON bookmarks(layer);

CREATE TABLE sequences(
  name TEXT NOT NULL PRIMARY KEY,
  next INTEGER NOT NULL CHECK(next > 0)
) STRICT, WITHOUT ROWID;
INSERT INTO sequences VALUES ('inode', 1), ('instance', 1);
)sql";

// The audit log. Since version 3.
constexpr char kAudit[] = R"sql(
CREATE TABLE audit(
  id INTEGER PRIMARY KEY CHECK(id > 0),
  at INTEGER NOT NULL,
  uid INTEGER NOT NULL CHECK(uid >= 0),
  pid INTEGER NOT NULL CHECK(pid >= 0),
  duration_us INTEGER NOT NULL CHECK(duration_us >= 0),
  user TEXT NOT NULL,
  verb TEXT NOT NULL,
  subjects TEXT NOT NULL,
  source TEXT NOT NULL,
  detail TEXT NOT NULL,
  result TEXT NOT NULL,
  hash BLOB NOT NULL CHECK(length(hash) = 32)
) STRICT;
CREATE TRIGGER audit_keeps_rows BEFORE DELETE ON audit
  BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_keeps_fields BEFORE UPDATE ON audit
  BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TABLE audit_head(
  one INTEGER PRIMARY KEY CHECK(one = 1),
  count INTEGER NOT NULL CHECK(count >= 0),
  hash BLOB NOT NULL CHECK(length(hash) = 32)
) STRICT;
INSERT INTO audit_head VALUES (1, 0, zeroblob(32));
)sql";

// Where the audit log begins, and who has how much of it. Since version 7.
constexpr char kAuditEnds[] = R"sql(
CREATE TABLE audit_begin(
  one INTEGER PRIMARY KEY CHECK(one = 1),
  count INTEGER NOT NULL CHECK(count >= 0),
  hash BLOB NOT NULL CHECK(length(hash) = 32)
) STRICT;
INSERT INTO audit_begin VALUES (1, 0, zeroblob(32));
CREATE TRIGGER audit_begins_later BEFORE UPDATE ON audit_begin WHEN new.count < old.count
  BEGIN SELECT RAISE(ABORT, 'the audit log does not get back what was trimmed'); END;
DROP TRIGGER audit_keeps_rows;
CREATE TRIGGER audit_keeps_rows BEFORE DELETE ON audit
  WHEN old.id > (SELECT count FROM audit_begin)
  BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TABLE audit_marks(
  destination TEXT NOT NULL PRIMARY KEY,
  count INTEGER NOT NULL CHECK(count >= 0),
  hash BLOB NOT NULL CHECK(length(hash) = 32)
) STRICT, WITHOUT ROWID;
)sql";

// Policies and approvals. Since version 3.
constexpr char kSettings[] = R"sql(
CREATE TABLE settings(
  scope INTEGER NOT NULL CHECK(scope BETWEEN 0 AND 3),
  subject INTEGER NOT NULL CHECK(subject >= 0),
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY(scope, subject, key)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER settings_of_branch AFTER DELETE ON branches
  BEGIN DELETE FROM settings WHERE scope = 2 AND subject = old.id; END;
CREATE TRIGGER settings_of_bookmark AFTER DELETE ON bookmarks
  BEGIN DELETE FROM settings WHERE scope = 3 AND subject = old.id; END;
)sql";

// From version 1: branches may be deleted, and their parents are known by id. SQLite cannot take a
// constraint from a table, so that of branches is made anew; ids given before are still not given
// again. A parent by name alone is the one that is older than the clone.
constexpr char kFromVersion1[] = R"sql(
ALTER TABLE layers ADD COLUMN allocated_bytes INTEGER CHECK(allocated_bytes >= 0);
ALTER TABLE bookmarks ADD COLUMN expires_at INTEGER;

CREATE TABLE new_branches(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  instance INTEGER NOT NULL UNIQUE CHECK(instance > 0),
  name TEXT NOT NULL,
  head INTEGER NOT NULL REFERENCES layers(id),
  root INTEGER NOT NULL CHECK(root > 0),
  parent INTEGER CHECK(parent > 0),
  parent_name TEXT NOT NULL,
  parent_bookmark INTEGER CHECK(parent_bookmark > 0),
  parent_bookmark_name TEXT NOT NULL,
  owner TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  protected INTEGER NOT NULL CHECK(protected IN (0, 1)),
  protected_until INTEGER,
  note TEXT NOT NULL,
  quota_bytes INTEGER CHECK(quota_bytes >= 0),
  port INTEGER CHECK(port BETWEEN 1 AND 65535),
  deleted_at INTEGER
) STRICT;

INSERT INTO new_branches
  SELECT b.id, b.instance, b.name, b.head, b.root, p.id, b.parent, k.id,
    substr(b.parent_bookmark, instr(b.parent_bookmark, '@') + 1), b.owner, b.created_at,
    b.expires_at, b.protected, NULL, b.note, b.quota_bytes, b.port, NULL
  FROM branches b
  LEFT JOIN branches p ON p.name = b.parent AND p.id < b.id
  LEFT JOIN bookmarks k ON k.branch = p.id AND p.name || '@' || k.name = b.parent_bookmark
    AND k.created_at <= b.created_at;
DELETE FROM sqlite_sequence WHERE name = 'new_branches';
INSERT INTO sqlite_sequence SELECT 'new_branches', seq FROM sqlite_sequence WHERE name = 'branches';
DROP TABLE branches;
ALTER TABLE new_branches RENAME TO branches;
CREATE UNIQUE INDEX branches_by_name ON branches(name) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX branches_by_port ON branches(port) WHERE deleted_at IS NULL;
CREATE INDEX branches_by_head ON branches(head);
CREATE INDEX branches_by_parent ON branches(parent);
)sql";

// From version 3: what a branch had written before cannot be told from what it began with. A
// bookmark's top directory is the first inode of its first layer; its branch's may be of another
// tree, to which it was reset or promoted since.
constexpr char kFromVersion3[] = R"sql(
ALTER TABLE branches ADD COLUMN first_layer INTEGER NOT NULL DEFAULT 0 CHECK(first_layer >= 0);
ALTER TABLE branches ADD COLUMN shown_uid INTEGER CHECK(shown_uid BETWEEN 0 AND 4294967295);
ALTER TABLE branches ADD COLUMN shown_gid INTEGER CHECK(shown_gid BETWEEN 0 AND 4294967295);
UPDATE branches SET first_layer = head;
ALTER TABLE bookmarks ADD COLUMN scheduled INTEGER NOT NULL DEFAULT 0 CHECK(scheduled IN (0, 1));
ALTER TABLE bookmarks ADD COLUMN root INTEGER NOT NULL DEFAULT 1 CHECK(root > 0);
UPDATE bookmarks SET root = coalesce((
    WITH RECURSIVE chain(id, parent) AS (
      SELECT id, parent FROM layers WHERE id = bookmarks.layer
      UNION ALL SELECT l.id, l.parent FROM layers l JOIN chain c ON l.id = c.parent)
    SELECT min(ino) FROM inodes WHERE layer = (SELECT id FROM chain WHERE parent IS NULL)),
  (SELECT root FROM branches WHERE id = bookmarks.branch));
)sql";

// From version 4: nothing but imports was sealed.
constexpr char kFromVersion4[] = R"sql(
ALTER TABLE inodes ADD COLUMN inherited_bytes INTEGER CHECK(inherited_bytes >= 0);
CREATE INDEX inodes_sealed ON inodes(layer) WHERE inherited_bytes IS NOT NULL;
ALTER TABLE manifests ADD COLUMN pages BLOB NOT NULL DEFAULT x''
  CHECK(length(pages) IN (0, length(chunks) / 32));
)sql";

// From version 5: a sealing was marked, but not counted.
constexpr char kFromVersion5[] = R"sql(
ALTER TABLE layers ADD COLUMN seals INTEGER NOT NULL DEFAULT 0 CHECK(seals >= 0);
UPDATE layers SET seals = 1
  WHERE id IN (SELECT layer FROM inodes WHERE inherited_bytes IS NOT NULL);
ALTER TABLE branches ADD COLUMN ephemeral INTEGER NOT NULL DEFAULT 0 CHECK(ephemeral IN (0, 1));
)sql";

// From version 6: bookmarks that on_expire made did not all say that they are a state of another
// branch, and the approval of the branch they belong to covered them.
constexpr char kFromVersion6[] = R"sql(
INSERT OR IGNORE INTO settings
  SELECT 3, id, 'state_of',
    substr(note, length('what ') + 1, length(note) - length('what  was when it expired'))
  FROM bookmarks WHERE name GLOB 'expired-*' AND note GLOB 'what ?* was when it expired';
)sql";

// From version 7: a layer was settled if its size was known.
constexpr char kFromVersion7[] = R"sql(
ALTER TABLE layers ADD COLUMN is_settled INTEGER NOT NULL DEFAULT 0 CHECK(is_settled IN (0, 1));
UPDATE layers SET is_settled = 1 WHERE logical_bytes IS NOT NULL;
)sql";

// What leads from version i + 1 to the next.
const std::array kMigrations = {std::string(kFromVersion1), std::string(kAudit) + kSettings,
                                std::string(kFromVersion3), std::string(kFromVersion4),
                                std::string(kFromVersion5), std::string(kAuditEnds) + kFromVersion6,
                                std::string(kFromVersion7)};
static_assert(kMigrations.size() == kSchemaVersion - 1);

std::string SetVersion() { return "PRAGMA user_version = " + std::to_string(kSchemaVersion); }

}  // namespace

Status CreateSchema(sql::Database& database) {
  // The two header fields last: with them a database is a catalog.
  VELAFS_ASSIGN(sql::Transaction transaction,
                sql::Transaction::Begin(database, sql::Transaction::Kind::kWrite));
  VELAFS_TRY(database.Execute(std::string(kTables) + kAudit + kAuditEnds + kSettings));
  VELAFS_TRY(database.Execute(SetVersion() +
                              "; PRAGMA application_id = " + std::to_string(kApplicationId)));
  return transaction.Commit();
}

Status CheckSchema(sql::Database& database) {
  VELAFS_ASSIGN(const int64_t application, database.Integer("PRAGMA application_id"));
  VELAFS_ASSIGN(const int64_t version, database.Integer("PRAGMA user_version"));
  if (application != kApplicationId) return Corrupt("it is not a velafs catalog");
  if (version > kSchemaVersion) {
    return Failed("its schema version is " + std::to_string(version) +
                      ", and this velafs knows versions up to " + std::to_string(kSchemaVersion),
                  "use the velafs that wrote it, or a later one");
  }
  if (version < 1) return Corrupt("its schema version is " + std::to_string(version));
  // Has SQLite read the table definitions now: what goes wrong with them later is not I/O.
  return database.Integer("SELECT count(*) FROM sqlite_schema").status();
}

Result<bool> MigrateSchema(sql::Database& database) {
  VELAFS_ASSIGN(const int64_t version, database.Integer("PRAGMA user_version"));
  if (version == kSchemaVersion) return false;
  // Else dropping a table would take along what refers to it.
  VELAFS_TRY(database.Execute("PRAGMA foreign_keys = OFF"));
  VELAFS_ASSIGN(sql::Transaction transaction,
                sql::Transaction::Begin(database, sql::Transaction::Kind::kWrite));
  for (auto step = static_cast<size_t>(version - 1); step < kMigrations.size(); ++step) {
    VELAFS_TRY(database.Execute(kMigrations[step]));
  }
  VELAFS_TRY(database.Execute(SetVersion()));
  VELAFS_TRY(transaction.Commit());
  return true;
}

}  // namespace velafs::catalog
