// The store of golden_v5.h as a velafs of version 6 left it: a layer's sealing is counted, and the
// policy on_expire has made two bookmarks of "main", of which one says that it is another branch's
// state.
#pragma once

#include "tests/store/golden_v5.h"

namespace velafs::test {

constexpr char kGoldenV6Additions[] = R"sql(
BEGIN TRANSACTION;
ALTER TABLE layers ADD COLUMN seals INTEGER NOT NULL DEFAULT 0 CHECK(seals >= 0);
UPDATE layers SET seals = 1
  WHERE id IN (SELECT layer FROM inodes WHERE inherited_bytes IS NOT NULL);
ALTER TABLE branches ADD COLUMN ephemeral INTEGER NOT NULL DEFAULT 0 CHECK(ephemeral IN (0, 1));
INSERT INTO bookmarks(id, branch, name, layer, created_at, note, expires_at, scheduled, root)
  SELECT 21, branch, 'expired-pr-1', layer, created_at, 'what pr-1 was when it expired', NULL, 0, root
  FROM bookmarks WHERE id = 1;
INSERT INTO bookmarks(id, branch, name, layer, created_at, note, expires_at, scheduled, root)
  SELECT 22, branch, 'expired-pr-2', layer, created_at, 'what pr-2 was when it expired', NULL, 0, root
  FROM bookmarks WHERE id = 1;
INSERT INTO settings VALUES(3, 22, 'state_of', 'pr-2');
COMMIT;
)sql";

// Makes that store in `directory`, on the host.
inline void MakeGoldenV6(const std::string& directory) {
  MakeGoldenStore(directory,
                  (std::string(kGoldenV2Catalog) + kGoldenV3Additions + kGoldenV4Additions +
                   kGoldenV5Additions + kGoldenV6Additions)
                      .c_str(),
                  6);
  WriteHostFile(directory + "/packs/2.pack", FromHex(kGoldenV5Pack));
  WriteHostFile(directory + "/layers/5/sealed", "");
  fs::remove(directory + "/layers/5/7");
}

}  // namespace velafs::test
