// The store of golden_v3.h as a velafs of version 4 left it: "dev" is shown as another user's, and
// has a bookmark that was made by schedule.
#pragma once

#include "tests/store/golden_v3.h"

namespace velafs::test {

constexpr char kGoldenV4Additions[] = R"sql(
BEGIN TRANSACTION;
ALTER TABLE branches ADD COLUMN first_layer INTEGER NOT NULL DEFAULT 0 CHECK(first_layer >= 0);
ALTER TABLE branches ADD COLUMN shown_uid INTEGER CHECK(shown_uid BETWEEN 0 AND 4294967295);
ALTER TABLE branches ADD COLUMN shown_gid INTEGER CHECK(shown_gid BETWEEN 0 AND 4294967295);
UPDATE branches SET first_layer = head;
UPDATE branches SET shown_uid = 1000, shown_gid = 1001 WHERE name = 'dev';
ALTER TABLE bookmarks ADD COLUMN scheduled INTEGER NOT NULL DEFAULT 0 CHECK(scheduled IN (0, 1));
ALTER TABLE bookmarks ADD COLUMN root INTEGER NOT NULL DEFAULT 1 CHECK(root > 0);
UPDATE bookmarks SET scheduled = 1 WHERE name = 'kept';
COMMIT;
)sql";

// Makes that store in `directory`, on the host.
inline void MakeGoldenV4(const std::string& directory) {
  MakeGoldenStore(directory,
                  (std::string(kGoldenV2Catalog) + kGoldenV3Additions + kGoldenV4Additions).c_str(),
                  4);
}

}  // namespace velafs::test
