// The store of golden_v2.h as a velafs of version 3 left it: with policies, an approved bookmark,
// and an audit log of one entry.
#pragma once

#include "tests/store/golden_v2.h"

namespace velafs::test {

constexpr char kGoldenV3Additions[] = R"sql(
BEGIN TRANSACTION;
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
INSERT INTO audit VALUES(1,1795600000000000000,1000,4711,812,'alice','approve','main@before','','{}','done',X'B26FFD7E8899C8B5B5DA217DDE1BEB001B8357AC6FCEBBA1CBA9527D7190E0D3');
CREATE TRIGGER audit_keeps_rows BEFORE DELETE ON audit
  BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_keeps_fields BEFORE UPDATE ON audit
  BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TABLE audit_head(
  one INTEGER PRIMARY KEY CHECK(one = 1),
  count INTEGER NOT NULL CHECK(count >= 0),
  hash BLOB NOT NULL CHECK(length(hash) = 32)
) STRICT;
INSERT INTO audit_head VALUES(1,1,X'B26FFD7E8899C8B5B5DA217DDE1BEB001B8357AC6FCEBBA1CBA9527D7190E0D3');
CREATE TABLE settings(
  scope INTEGER NOT NULL CHECK(scope BETWEEN 0 AND 3),
  subject INTEGER NOT NULL CHECK(subject >= 0),
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY(scope, subject, key)
) STRICT, WITHOUT ROWID;
INSERT INTO settings VALUES(0,0,'ttl','3d');
INSERT INTO settings VALUES(1,1,'max_branches','20');
INSERT INTO settings VALUES(2,4,'on_expire','keep');
INSERT INTO settings VALUES(3,1,'approved','on');
CREATE TRIGGER settings_of_branch AFTER DELETE ON branches
  BEGIN DELETE FROM settings WHERE scope = 2 AND subject = old.id; END;
CREATE TRIGGER settings_of_bookmark AFTER DELETE ON bookmarks
  BEGIN DELETE FROM settings WHERE scope = 3 AND subject = old.id; END;
COMMIT;
)sql";

// Makes that store in `directory`, on the host.
inline void MakeGoldenV3(const std::string& directory) {
  MakeGoldenStore(directory, (std::string(kGoldenV2Catalog) + kGoldenV3Additions).c_str(), 3);
}

}  // namespace velafs::test
