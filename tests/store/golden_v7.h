// The store of golden_v6.h as a velafs of version 7 left it: the audit log can be trimmed, and a
// layer was frozen after an unclean end: nobody has counted the sizes of its files.
#pragma once

#include "tests/store/golden_v6.h"

namespace velafs::test {

constexpr char kGoldenV7Additions[] = R"sql(
BEGIN TRANSACTION;
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
INSERT INTO settings VALUES(3, 21, 'state_of', 'pr-1');
UPDATE layers SET logical_bytes = NULL WHERE id = 5;
COMMIT;
)sql";

// Makes that store in `directory`, on the host.
inline void MakeGoldenV7(const std::string& directory) {
  MakeGoldenStore(directory,
                  (std::string(kGoldenV2Catalog) + kGoldenV3Additions + kGoldenV4Additions +
                   kGoldenV5Additions + kGoldenV6Additions + kGoldenV7Additions)
                      .c_str(),
                  7);
  WriteHostFile(directory + "/packs/2.pack", FromHex(kGoldenV5Pack));
  WriteHostFile(directory + "/layers/5/sealed", "");
  fs::remove(directory + "/layers/5/7");
}

}  // namespace velafs::test
