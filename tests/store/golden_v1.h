// A store of version 1, as a velafs of that version left it: a source, clones, bookmarks, pages a
// branch has of its own, and a clone whose parent is gone while a later branch has its name.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "tests/store/store_fixture.h"
#include "velafs/sql/database.h"

namespace velafs::test {

constexpr char kGoldenV1Catalog[] = R"sql(
BEGIN TRANSACTION;
CREATE TABLE bookmarks(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  branch INTEGER NOT NULL REFERENCES branches(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  layer INTEGER NOT NULL REFERENCES layers(id),
  created_at INTEGER NOT NULL,
  note TEXT NOT NULL,
  UNIQUE(branch, name)
) STRICT;
INSERT INTO "bookmarks" VALUES(1,1,'before',1,1795577103538330384,'kept');
INSERT INTO "bookmarks" VALUES(2,4,'point',5,1795577103585898686,'');
CREATE TABLE branches(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  instance INTEGER NOT NULL UNIQUE CHECK(instance > 0),
  name TEXT NOT NULL UNIQUE,
  head INTEGER NOT NULL REFERENCES layers(id),
  root INTEGER NOT NULL CHECK(root > 0),
  parent TEXT NOT NULL,
  parent_bookmark TEXT NOT NULL,
  owner TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  protected INTEGER NOT NULL CHECK(protected IN (0, 1)),
  note TEXT NOT NULL,
  quota_bytes INTEGER CHECK(quota_bytes >= 0),
  port INTEGER UNIQUE CHECK(port BETWEEN 1 AND 65535)
) STRICT;
INSERT INTO "branches" VALUES(1,1,'main',2,1,'','','root',1795577103489915580,NULL,0,'',NULL,NULL);
INSERT INTO "branches" VALUES(3,3,'orphan',4,1,'gone','','root',1795577103509396456,NULL,0,'',NULL,NULL);
INSERT INTO "branches" VALUES(4,4,'dev',7,1,'main','','alice',1795577103528736437,1796181903528736437,0,'a note',NULL,NULL);
INSERT INTO "branches" VALUES(5,5,'retry',6,1,'main','main@before','root',1795577103547389555,NULL,0,'',NULL,NULL);
INSERT INTO "branches" VALUES(6,6,'copy',8,1,'dev','','root',1795577103592281611,NULL,0,'',NULL,NULL);
INSERT INTO "branches" VALUES(7,7,'gone',9,1,'main','','root',1795577103599281611,NULL,0,'',NULL,NULL);
CREATE TABLE chunks(
  sha256 BLOB NOT NULL PRIMARY KEY CHECK(length(sha256) = 32),
  pack INTEGER NOT NULL CHECK(pack > 0),
  offset_bytes INTEGER NOT NULL CHECK(offset_bytes >= 0),
  stored_bytes INTEGER NOT NULL CHECK(stored_bytes > 0),
  raw_bytes INTEGER NOT NULL CHECK(raw_bytes BETWEEN 1 AND 65536),
  codec INTEGER NOT NULL CHECK(codec IN (0, 1))
) STRICT, WITHOUT ROWID;
INSERT INTO "chunks" VALUES(X'0FCD568A5CB9BDB4677B69354B11EE415AF8F784519CFF3DA49A26F84EAEE7F2',1,195,7,7,0);
INSERT INTO "chunks" VALUES(X'238903180CC104EC2C5D8B3F20C5BC61B389EC0A967DF8CC208CDC7CD454174F',1,128,3,3,0);
INSERT INTO "chunks" VALUES(X'99AEB0DFFC9C32F6B188C6E99DB409F3CBBA4940F1D74BD297DE7EE9D3CB7380',1,266,10,10,0);
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
  PRIMARY KEY(ino, layer)
) STRICT, WITHOUT ROWID;
INSERT INTO "inodes" VALUES(1,1,16832,0,0,4,0,0,1795577103465923828,1795577103465923828,1795577103465923828,X'',1);
INSERT INTO "inodes" VALUES(1,5,16832,0,0,4,0,0,1795577103465923828,1795577103573761367,1795577103573761367,X'',0);
INSERT INTO "inodes" VALUES(2,1,33152,0,0,1,3,0,1795577103465923828,1795577103467312360,1795577103467312360,X'',1);
INSERT INTO "inodes" VALUES(3,1,16832,0,0,2,0,0,1795577103465923828,1795577103467312360,1795577103467312360,X'',1);
INSERT INTO "inodes" VALUES(4,1,16832,0,0,2,0,0,1795577103465923828,1795577103467312360,1795577103467312360,X'',1);
INSERT INTO "inodes" VALUES(5,1,33152,0,0,1,7,0,1795577103467312360,1795577103467312360,1795577103467312360,X'',1);
INSERT INTO "inodes" VALUES(6,1,33152,0,0,1,10,0,1795577103467312360,1795577103467312360,1795577103467312360,X'',1);
INSERT INTO "inodes" VALUES(7,5,33152,0,0,1,0,0,1795577103573761367,1795577103573761367,1795577103573761367,X'',1);
CREATE TABLE labels(
  branch INTEGER NOT NULL REFERENCES branches(id) ON DELETE CASCADE,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY(branch, key)
) STRICT, WITHOUT ROWID;
INSERT INTO "labels" VALUES(4,'team','db');
CREATE TABLE layers(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  parent INTEGER REFERENCES layers(id) CHECK(parent < id),
  state INTEGER NOT NULL CHECK(state BETWEEN 0 AND 3),
  created_at INTEGER NOT NULL,
  logical_bytes INTEGER CHECK(logical_bytes >= 0),
  stored_bytes INTEGER NOT NULL CHECK(stored_bytes >= 0)
) STRICT;
INSERT INTO "layers" VALUES(1,NULL,3,1795577103485495849,20,20);
INSERT INTO "layers" VALUES(2,1,1,1795577103489915670,20,0);
INSERT INTO "layers" VALUES(4,1,1,1795577103509498198,20,0);
INSERT INTO "layers" VALUES(5,1,2,1795577103528858399,25,0);
INSERT INTO "layers" VALUES(6,1,1,1795577103547402734,20,0);
INSERT INTO "layers" VALUES(7,5,1,1795577103585933087,25,0);
INSERT INTO "layers" VALUES(8,5,1,1795577103592308711,25,0);
INSERT INTO "layers" VALUES(9,1,1,1795577103599308711,20,0);
CREATE TABLE manifests(
  layer INTEGER NOT NULL REFERENCES layers(id),
  ino INTEGER NOT NULL CHECK(ino > 0),
  part INTEGER NOT NULL CHECK(part >= 0),
  chunks BLOB NOT NULL CHECK(length(chunks) % 32 = 0 AND length(chunks) <= 32768),
  PRIMARY KEY(layer, ino, part)
) STRICT, WITHOUT ROWID;
INSERT INTO "manifests" VALUES(1,2,0,X'238903180CC104EC2C5D8B3F20C5BC61B389EC0A967DF8CC208CDC7CD454174F');
INSERT INTO "manifests" VALUES(1,5,0,X'0FCD568A5CB9BDB4677B69354B11EE415AF8F784519CFF3DA49A26F84EAEE7F2');
INSERT INTO "manifests" VALUES(1,6,0,X'99AEB0DFFC9C32F6B188C6E99DB409F3CBBA4940F1D74BD297DE7EE9D3CB7380');
CREATE TABLE names(
  layer INTEGER NOT NULL REFERENCES layers(id),
  directory INTEGER NOT NULL CHECK(directory > 0),
  name BLOB NOT NULL CHECK(length(name) > 0),
  ino INTEGER NOT NULL CHECK(ino >= 0),
  PRIMARY KEY(layer, directory, name)
) STRICT, WITHOUT ROWID;
INSERT INTO "names" VALUES(1,1,X'50475F56455253494F4E',2);
INSERT INTO "names" VALUES(1,1,X'62617365',3);
INSERT INTO "names" VALUES(1,1,X'676C6F62616C',4);
INSERT INTO "names" VALUES(1,3,X'31323539',6);
INSERT INTO "names" VALUES(1,4,X'70675F636F6E74726F6C',5);
INSERT INTO "names" VALUES(5,1,X'6E6577',7);
CREATE TABLE packs(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  published INTEGER NOT NULL CHECK(published IN (0, 1))
) STRICT;
INSERT INTO "packs" VALUES(1,1);
CREATE TABLE sequences(
  name TEXT NOT NULL PRIMARY KEY,
  next INTEGER NOT NULL CHECK(next > 0)
) STRICT, WITHOUT ROWID;
INSERT INTO "sequences" VALUES('inode',1031);
INSERT INTO "sequences" VALUES('instance',9);
CREATE INDEX layers_by_parent ON layers(parent);
CREATE INDEX inodes_by_layer ON inodes(layer);
CREATE INDEX branches_by_head ON branches(head);
CREATE INDEX bookmarks_by_layer ON bookmarks(layer);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('layers',10);
INSERT INTO "sqlite_sequence" VALUES('packs',1);
INSERT INTO "sqlite_sequence" VALUES('branches',8);
INSERT INTO "sqlite_sequence" VALUES('bookmarks',2);
COMMIT;
)sql";

// packs/1.pack
constexpr char kGoldenV1Pack[] =
    "564c415041434b31010000000000000001000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000000000007c5617b45643484b000000000300000003000000238903180cc104ec"
    "2c5d8b3f20c5bc61b389ec0a967df8cc208cdc7cd454174f000000000000000000000000dbf49dde31350a56"
    "43484b0000000007000000070000000fcd568a5cb9bdb4677b69354b11ee415af8f784519cff3da49a26f84e"
    "aee7f2000000000000000000000000c4fcaa46636f6e74726f6c5643484b000000000a0000000a00000099ae"
    "b0dffc9c32f6b188c6e99db409f3cbba4940f1d74bd297de7ee9d3cb7380000000000000000000000000c275"
    "32e6666972737420726f770a";

// Where layers/5/6.map is not zero.
struct GoldenByte {
  size_t at;
  unsigned value;
};
constexpr GoldenByte kGoldenV1Map[] = {
    {0, 0x76},   {1, 0x65},   {2, 0x6c},   {3, 0x61},    {4, 0x6d},    {5, 0x61},    {6, 0x70},
    {7, 0x0a},   {8, 0x01},   {16, 0x05},  {24, 0x06},   {32, 0x0a},   {508, 0x0f},  {509, 0x50},
    {510, 0xcc}, {511, 0xda}, {512, 0x01}, {1020, 0xf5}, {1021, 0x29}, {1022, 0x37}, {1023, 0xc8}};

inline std::string FromHex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

// Makes a store with those packs and layers in `directory`, on the host.
inline void MakeGoldenStore(const std::string& directory, const char* catalog, int version) {
  for (const char* part : {"/packs", "/layers/5", "/run"}) fs::create_directories(directory + part);
  WriteHostFile(directory + "/packs/1.pack", FromHex(kGoldenV1Pack));
  WriteHostFile(directory + "/layers/5/6", "second row\n");
  WriteHostFile(directory + "/layers/5/7", "new\n");
  std::string map(1024, '\0');
  for (const GoldenByte& byte : kGoldenV1Map) map[byte.at] = static_cast<char>(byte.value);
  WriteHostFile(directory + "/layers/5/6.map", map);
  WriteHostFile(directory + "/catalog.db", "");
  auto database = sql::Database::Open(directory + "/catalog.db", 0);
  REQUIRE(database.ok());
  REQUIRE((*database)->Text("PRAGMA journal_mode = WAL").ok());
  for (const std::string& text :
       {std::string(catalog),
        "PRAGMA application_id = 0x56454C41; PRAGMA user_version = " + std::to_string(version)}) {
    const Status filled = (*database)->Execute(text);
    REQUIRE_MESSAGE(filled.ok(), filled.message());
  }
  REQUIRE((*database)->Checkpoint().ok());
}

inline void MakeGoldenV1(const std::string& directory) {
  MakeGoldenStore(directory, kGoldenV1Catalog, 1);
}

}  // namespace velafs::test
