// The store of golden_v4.h as a velafs of version 5 left it: one file of a frozen layer is sealed.
#pragma once

#include "tests/store/golden_v4.h"

namespace velafs::test {

constexpr char kGoldenV5Additions[] = R"sql(
BEGIN TRANSACTION;
ALTER TABLE inodes ADD COLUMN inherited_bytes INTEGER CHECK(inherited_bytes >= 0);
CREATE INDEX inodes_sealed ON inodes(layer) WHERE inherited_bytes IS NOT NULL;
ALTER TABLE manifests ADD COLUMN pages BLOB NOT NULL DEFAULT x''
  CHECK(length(pages) IN (0, length(chunks) / 32));
INSERT INTO packs VALUES (2, 1);
INSERT INTO chunks VALUES (X'7AA7A5359173D05B63CFD682E3C38487F3CB4F7F1D60659FE59FAB1505977D4C', 2, 128, 4, 4, 0);
INSERT INTO manifests VALUES (5, 7, 0, X'7AA7A5359173D05B63CFD682E3C38487F3CB4F7F1D60659FE59FAB1505977D4C', X'');
UPDATE inodes SET inherited_bytes = 0, size_bytes = 4 WHERE ino = 7 AND layer = 5;
COMMIT;
)sql";

// packs/2.pack
constexpr char kGoldenV5Pack[] =
    "564c415041434b31010000000000000002000000000000000000000000000000000000000000000000000000"
    "00000000000000000000000000000000da1e6fca5643484b0000000004000000040000007aa7a5359173d05b"
    "63cfd682e3c38487f3cb4f7f1d60659fe59fab1505977d4c000000000000000000000000734195b16e65770a";

// Makes that store in `directory`, on the host.
inline void MakeGoldenV5(const std::string& directory) {
  MakeGoldenStore(
      directory,
      (std::string(kGoldenV2Catalog) + kGoldenV3Additions + kGoldenV4Additions + kGoldenV5Additions)
          .c_str(),
      5);
  WriteHostFile(directory + "/packs/2.pack", FromHex(kGoldenV5Pack));
  WriteHostFile(directory + "/layers/5/sealed", "");
  fs::remove(directory + "/layers/5/7");
}

}  // namespace velafs::test
