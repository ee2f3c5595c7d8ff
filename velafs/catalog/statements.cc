#include "velafs/catalog/statements.h"

#include <cerrno>

namespace velafs::catalog {
namespace {

struct Row {
  Sql sql;
  std::string_view text;
};

#define LAYER_COLUMNS \
  "id, parent, state, created_at, logical_bytes, stored_bytes, allocated_bytes, seals, is_settled"
#define INODE_COLUMNS                                                                     \
  "ino, mode, uid, gid, nlink, size_bytes, rdev, atime, mtime, ctime, target, born_here," \
  " inherited_bytes"
// A parent that is still there is shown by the name it has now.
#define SELECT_BRANCHES                                                                         \
  "SELECT b.id, b.instance, b.name, b.head, b.root, b.parent, coalesce(p.name, b.parent_name)," \
  " b.parent_bookmark, b.parent_bookmark_name, b.owner, b.created_at, b.expires_at,"            \
  " b.protected, b.protected_until, b.note, b.quota_bytes, b.port, b.deleted_at,"               \
  " b.first_layer, b.shown_uid, b.shown_gid, b.ephemeral"                                       \
  " FROM branches b LEFT JOIN branches p ON p.id = b.parent "
// Layer ?1 and those below it, the nearest first: each is looked at only when those above say
// nothing.
#define CHAIN                                                             \
  "WITH RECURSIVE chain(id) AS (SELECT ?1 UNION ALL SELECT layers.parent" \
  " FROM layers JOIN chain USING (id) WHERE layers.parent IS NOT NULL) "
#define BOOKMARK_COLUMNS "id, branch, name, layer, created_at, note, expires_at, scheduled, root"
#define AUDIT_COLUMNS \
  "id, at, uid, pid, duration_us, user, verb, subjects, source, detail, result, hash"

// Replacing is an UPDATE, not INSERT OR REPLACE: it leaves the secondary indexes alone.
constexpr std::array<Row, kSqlCount> kRows = {{
    {Sql::kLayer, "SELECT " LAYER_COLUMNS " FROM layers WHERE id = ?1"},
    {Sql::kLayers, "SELECT " LAYER_COLUMNS " FROM layers ORDER BY id"},
    {Sql::kLayerUses,
     "SELECT count(*) FROM (SELECT 1 FROM layers WHERE parent = ?1"
     " UNION ALL SELECT 1 FROM branches WHERE head = ?1"
     " UNION ALL SELECT 1 FROM bookmarks WHERE layer = ?1 LIMIT 2)"},
    {Sql::kLayerHolders, "SELECT head FROM branches UNION ALL SELECT layer FROM bookmarks"},
    {Sql::kLayerHolds,
     "SELECT EXISTS(SELECT 1 FROM names WHERE layer = ?1)"
     " OR EXISTS(SELECT 1 FROM inodes WHERE layer = ?1)"
     " OR EXISTS(SELECT 1 FROM manifests WHERE layer = ?1)"},
    {Sql::kNames, "SELECT name, ino FROM names WHERE layer = ?1 AND directory = ?2"},
    {Sql::kNamesBytes,
     "SELECT (SELECT coalesce(sum(?2 + length(target)), 0) FROM inodes WHERE layer = ?1)"
     " + (SELECT coalesce(sum(?2 + length(name)), 0) FROM names WHERE layer = ?1)"},
    {Sql::kNameCount, "SELECT count(*) FROM names WHERE layer = ?1"},
    // One search of the index for each directory, not one step for each name.
    {Sql::kLayerDirectories,
     "WITH RECURSIVE found(directory) AS ("
     " SELECT min(directory) FROM names WHERE layer = ?1"
     " UNION ALL SELECT (SELECT min(directory) FROM names WHERE layer = ?1"
     " AND directory > found.directory) FROM found WHERE directory IS NOT NULL)"
     " SELECT directory FROM found WHERE directory IS NOT NULL"},
    {Sql::kLayerInodes,
     "SELECT ino FROM inodes WHERE layer = ?1 UNION SELECT ino FROM manifests WHERE layer = ?1"},
    {Sql::kInodes, "SELECT " INODE_COLUMNS ", layer FROM inodes WHERE ino = ?1 LIMIT ?2"},
    {Sql::kInode, "SELECT " INODE_COLUMNS " FROM inodes WHERE ino = ?1 AND layer = ?2"},
    {Sql::kNameThrough,
     CHAIN "SELECT names.ino FROM chain CROSS JOIN names ON names.layer = chain.id"
           " AND names.directory = ?2 AND names.name = ?3 LIMIT 1"},
    {Sql::kInodeThrough,
     CHAIN "SELECT " INODE_COLUMNS " FROM chain CROSS JOIN inodes ON inodes.layer = chain.id"
           " AND inodes.ino = ?2 LIMIT 1"},
    {Sql::kManifestPart,
     "SELECT chunks, pages FROM manifests WHERE layer = ?1 AND ino = ?2 AND part = ?3"},
    {Sql::kSealedInodes,
     "SELECT ino, inherited_bytes FROM inodes WHERE layer = ?1 AND inherited_bytes IS NOT NULL"},
    {Sql::kChunk,
     "SELECT pack, offset_bytes, stored_bytes, raw_bytes, codec FROM chunks WHERE sha256 = ?1"},
    {Sql::kChunkCount, "SELECT count(*) FROM chunks"},
    {Sql::kChunksAfter,
     "SELECT pack, offset_bytes, stored_bytes, raw_bytes, codec, sha256 FROM chunks"
     " WHERE sha256 > ?1 ORDER BY sha256 LIMIT ?2"},
    {Sql::kManifestsAfter,
     "SELECT chunks, layer, ino, part FROM manifests"
     " WHERE (layer, ino, part) > (?1, ?2, ?3) ORDER BY layer, ino, part LIMIT ?4"},
    {Sql::kInodesOfLayer, "SELECT " INODE_COLUMNS " FROM inodes WHERE layer = ?1"},
    {Sql::kFirstInode, "SELECT coalesce(min(ino), 0) FROM inodes WHERE layer = ?1"},
    {Sql::kLastId, "SELECT max(seq) FROM sqlite_sequence WHERE name = ?1"},
    {Sql::kNextNumber, "SELECT next FROM sequences WHERE name = ?1"},
    {Sql::kBranches, SELECT_BRANCHES "WHERE b.deleted_at IS NULL ORDER BY b.name"},
    {Sql::kBranchByName, SELECT_BRANCHES "WHERE b.name = ?1 AND b.deleted_at IS NULL"},
    {Sql::kBranchByInstance, SELECT_BRANCHES "WHERE b.instance = ?1 AND b.deleted_at IS NULL"},
    {Sql::kBranchByPort, SELECT_BRANCHES "WHERE b.port = ?1 AND b.deleted_at IS NULL"},
    {Sql::kBranchById, SELECT_BRANCHES "WHERE b.id = ?1"},
    {Sql::kDeletedBranches,
     SELECT_BRANCHES "WHERE b.deleted_at IS NOT NULL ORDER BY b.deleted_at DESC, b.id DESC"},
    {Sql::kEphemeralBranches, SELECT_BRANCHES "WHERE b.ephemeral = 1 ORDER BY b.id"},
    {Sql::kLabels, "SELECT key, value FROM labels WHERE branch = ?1"},
    {Sql::kAllLabels, "SELECT key, value, branch FROM labels"},
    {Sql::kBookmarks,
     "SELECT " BOOKMARK_COLUMNS " FROM bookmarks WHERE branch = ?1 ORDER BY created_at, id"},
    {Sql::kBookmark, "SELECT " BOOKMARK_COLUMNS " FROM bookmarks WHERE branch = ?1 AND name = ?2"},
    {Sql::kBookmarkById, "SELECT " BOOKMARK_COLUMNS " FROM bookmarks WHERE id = ?1"},
    {Sql::kScheduledBookmarks,
     "SELECT " BOOKMARK_COLUMNS " FROM bookmarks WHERE scheduled = 1 ORDER BY created_at, id"},
    {Sql::kPacks, "SELECT id, published FROM packs ORDER BY id"},
    {Sql::kSettings, "SELECT scope, subject, key, value FROM settings"},
    {Sql::kAuditHead, "SELECT count, hash FROM audit_head"},
    {Sql::kAuditBegin, "SELECT count, hash FROM audit_begin"},
    {Sql::kAuditMarks, "SELECT destination, count, hash FROM audit_marks ORDER BY destination"},
    {Sql::kAuditAfter, "SELECT " AUDIT_COLUMNS " FROM audit WHERE id > ?1 ORDER BY id LIMIT ?2"},
    {Sql::kAuditBefore,
     "SELECT " AUDIT_COLUMNS " FROM audit WHERE id < ?1 ORDER BY id DESC LIMIT ?2"},

    {Sql::kAddLayer,
     "INSERT INTO layers(parent, state, created_at, stored_bytes, allocated_bytes, seals,"
     " is_settled) VALUES (?1, ?2, ?3, 0, 0, 0, 1)"},
    {Sql::kSetLayerState, "UPDATE layers SET state = ?2 WHERE id = ?1"},
    {Sql::kSetAsideLayer, "UPDATE layers SET state = ?2, parent = NULL WHERE id = ?1"},
    {Sql::kFreezeLayer,
     "UPDATE layers SET state = ?2, is_settled = ?3, allocated_bytes = NULL WHERE id = ?1"},
    {Sql::kSetLayerSettled, "UPDATE layers SET is_settled = ?2 WHERE id = ?1"},
    {Sql::kSetLayerLogicalBytes, "UPDATE layers SET logical_bytes = ?2 WHERE id = ?1"},
    {Sql::kSetLayerStoredBytes, "UPDATE layers SET stored_bytes = ?2 WHERE id = ?1"},
    {Sql::kSetLayerAllocatedBytes, "UPDATE layers SET allocated_bytes = ?2 WHERE id = ?1"},
    {Sql::kCountSeal, "UPDATE layers SET seals = seals + 1 WHERE id = ?1"},
    {Sql::kRemoveLayerNames, "DELETE FROM names WHERE layer = ?1"},
    {Sql::kRemoveLayerInodes, "DELETE FROM inodes WHERE layer = ?1"},
    {Sql::kRemoveLayerManifests, "DELETE FROM manifests WHERE layer = ?1"},
    {Sql::kRemoveLayer, "DELETE FROM layers WHERE id = ?1"},
    // ?1 is merged into ?2, which stands on it and overrides what it says.
    {Sql::kVanishingNames,
     "SELECT lower.directory, lower.name FROM names lower JOIN names upper ON upper.layer = ?2"
     " AND upper.directory = lower.directory AND upper.name = lower.name"
     " WHERE lower.layer = ?1 AND lower.ino <> 0 AND upper.ino = 0 AND NOT EXISTS"
     " (SELECT 1 FROM names WHERE directory = upper.directory AND name = upper.name AND layer IN"
     " (WITH RECURSIVE below(id) AS (SELECT parent FROM layers WHERE id = ?1 UNION ALL"
     " SELECT parent FROM layers JOIN below USING (id)) SELECT id FROM below))"},
    {Sql::kMergeOverriddenNames,
     "DELETE FROM names WHERE layer = ?1 AND EXISTS(SELECT 1 FROM names upper WHERE"
     " upper.layer = ?2 AND upper.directory = names.directory AND upper.name = names.name)"},
    {Sql::kMergeNames, "UPDATE names SET layer = ?2 WHERE layer = ?1"},
    {Sql::kMergeBirths,
     "UPDATE inodes SET born_here = 1 WHERE layer = ?2 AND EXISTS(SELECT 1 FROM inodes lower"
     " WHERE lower.layer = ?1 AND lower.ino = inodes.ino AND lower.born_here = 1)"},
    {Sql::kMergeOverriddenInodes,
     "DELETE FROM inodes WHERE layer = ?1 AND EXISTS(SELECT 1 FROM inodes upper WHERE"
     " upper.layer = ?2 AND upper.ino = inodes.ino)"},
    {Sql::kMergeInodes, "UPDATE inodes SET layer = ?2, inherited_bytes = NULL WHERE layer = ?1"},
    {Sql::kMergeLeftovers, "DELETE FROM inodes WHERE layer = ?1 AND nlink = 0 AND born_here = 1"},
    {Sql::kMergeLayer,
     "UPDATE layers SET parent = (SELECT parent FROM layers WHERE id = ?1),"
     " is_settled = 1, allocated_bytes = NULL WHERE id = ?2"},
    {Sql::kPutName,
     "INSERT INTO names(layer, directory, name, ino) VALUES (?1, ?2, ?3, ?4)"
     " ON CONFLICT(layer, directory, name) DO UPDATE SET ino = excluded.ino"},
    {Sql::kRemoveName, "DELETE FROM names WHERE layer = ?1 AND directory = ?2 AND name = ?3"},
    {Sql::kPutInode,
     "INSERT INTO inodes(" INODE_COLUMNS ", layer)"
     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
     " ON CONFLICT(ino, layer) DO UPDATE SET mode = excluded.mode, uid = excluded.uid,"
     " gid = excluded.gid, nlink = excluded.nlink, size_bytes = excluded.size_bytes,"
     " rdev = excluded.rdev, atime = excluded.atime, mtime = excluded.mtime,"
     " ctime = excluded.ctime, target = excluded.target, born_here = excluded.born_here,"
     " inherited_bytes = excluded.inherited_bytes"},
    {Sql::kRemoveInode, "DELETE FROM inodes WHERE ino = ?1 AND layer = ?2"},
    {Sql::kPutManifestPart,
     "INSERT INTO manifests(layer, ino, part, chunks, pages) VALUES (?1, ?2, ?3, ?4, ?5)"
     " ON CONFLICT(layer, ino, part) DO UPDATE SET chunks = excluded.chunks,"
     " pages = excluded.pages"},
    {Sql::kReplaceManifests,
     "DELETE FROM manifests WHERE layer = ?2 AND ino IN"
     " (SELECT ino FROM manifests WHERE layer = ?1)"},
    {Sql::kMoveManifests, "UPDATE manifests SET layer = ?2 WHERE layer = ?1"},
    {Sql::kAddPack, "INSERT INTO packs(published) VALUES (0)"},
    {Sql::kPublishPack, "UPDATE packs SET published = 1 WHERE id = ?1"},
    {Sql::kRemovePackChunks, "DELETE FROM chunks WHERE pack = ?1"},
    {Sql::kRemovePack, "DELETE FROM packs WHERE id = ?1"},
    {Sql::kPutChunk,
     "INSERT INTO chunks(sha256, pack, offset_bytes, stored_bytes, raw_bytes, codec)"
     " VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
     " ON CONFLICT(sha256) DO UPDATE SET pack = excluded.pack,"
     " offset_bytes = excluded.offset_bytes, stored_bytes = excluded.stored_bytes,"
     " raw_bytes = excluded.raw_bytes, codec = excluded.codec"},
    {Sql::kRemoveChunk, "DELETE FROM chunks WHERE sha256 = ?1"},
    {Sql::kReserve, "UPDATE sequences SET next = next + ?2 WHERE name = ?1 RETURNING next - ?2"},
    {Sql::kRaiseLastId, "UPDATE sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1"},
    {Sql::kSetLastId, "INSERT INTO sqlite_sequence(name, seq) VALUES (?1, ?2)"},
    {Sql::kRaiseNextNumber, "UPDATE sequences SET next = max(next, ?2 + 1) WHERE name = ?1"},
    {Sql::kAddBranch,
     "INSERT INTO branches(instance, name, head, root, parent, parent_name, parent_bookmark,"
     " parent_bookmark_name, owner, created_at, expires_at, protected, protected_until, note,"
     " quota_bytes, port, deleted_at, first_layer, shown_uid, shown_gid, ephemeral)"
     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,"
     " ?19, ?20, ?21)"},
    {Sql::kUpdateBranch,
     "UPDATE branches SET instance = ?1, name = ?2, head = ?3, root = ?4, parent = ?5,"
     " parent_name = ?6, parent_bookmark = ?7, parent_bookmark_name = ?8, owner = ?9,"
     " created_at = ?10, expires_at = ?11, protected = ?12, protected_until = ?13, note = ?14,"
     " quota_bytes = ?15, port = ?16, deleted_at = ?17, first_layer = ?18,"
     " shown_uid = ?19, shown_gid = ?20, ephemeral = ?21 WHERE id = ?22"},
    {Sql::kKeepNameOfParent,
     "UPDATE branches SET parent_name = (SELECT name FROM branches WHERE id = ?1) WHERE parent = "
     "?1"},
    {Sql::kRemoveBranch, "DELETE FROM branches WHERE id = ?1"},
    {Sql::kAddLabel, "INSERT INTO labels(branch, key, value) VALUES (?1, ?2, ?3)"},
    {Sql::kRemoveLabels, "DELETE FROM labels WHERE branch = ?1"},
    {Sql::kAddBookmark,
     "INSERT INTO bookmarks(branch, name, layer, created_at, note, expires_at, scheduled, root)"
     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"},
    {Sql::kRemoveBookmark, "DELETE FROM bookmarks WHERE branch = ?1 AND name = ?2"},
    {Sql::kPutSetting,
     "INSERT INTO settings(scope, subject, key, value) VALUES (?1, ?2, ?3, ?4)"
     " ON CONFLICT(scope, subject, key) DO UPDATE SET value = excluded.value"},
    {Sql::kRemoveSetting, "DELETE FROM settings WHERE scope = ?1 AND subject = ?2 AND key = ?3"},
    {Sql::kAddAudit, "INSERT INTO audit(" AUDIT_COLUMNS
                     ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"},
    {Sql::kMoveAuditHead, "UPDATE audit_head SET count = ?1, hash = ?2"},
    {Sql::kMoveAuditBegin, "UPDATE audit_begin SET count = ?1, hash = ?2"},
    {Sql::kTrimAudit, "DELETE FROM audit WHERE id <= ?1"},
    {Sql::kPutAuditMark,
     "INSERT INTO audit_marks(destination, count, hash) VALUES (?1, ?2, ?3)"
     " ON CONFLICT(destination) DO UPDATE SET count = excluded.count, hash = excluded.hash"},
    {Sql::kRemoveAuditMark, "DELETE FROM audit_marks WHERE destination = ?1"},
}};

constexpr bool RowsAreInOrder() {
  for (size_t i = 0; i < kSqlCount; ++i) {
    if (kRows[i].sql != static_cast<Sql>(i) || kRows[i].text.empty()) return false;
  }
  return true;
}
static_assert(RowsAreInOrder());

}  // namespace

std::string_view SqlText(Sql sql) { return kRows[static_cast<size_t>(sql)].text; }

Result<std::unique_ptr<Statements>> Statements::Prepare(sql::Database& database) {
  std::unique_ptr<Statements> statements(new Statements(database));
  for (const Row& row : kRows) {
    Result<sql::Statement> prepared = database.Prepare(row.text);
    if (!prepared.ok()) {
      // The text is right for this schema version: the tables are not.
      const Status status = prepared.status();
      if (status.code() != Code::kFailed || status.error_number() != EIO) return status;
      return Corrupt(status.message());
    }
    (*statements)[row.sql] = *std::move(prepared);
  }
  return statements;
}

}  // namespace velafs::catalog
