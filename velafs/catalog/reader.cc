#include <algorithm>
#include <cstring>
#include <type_traits>
#include <unordered_map>

#include "velafs/catalog/catalog.h"
#include "velafs/catalog/statements.h"

namespace velafs::catalog {
namespace {

using sql::Query;

static_assert(sizeof(ChunkId) == 32 && std::is_trivially_copyable_v<ChunkId>);

// The functions below read one row as statements.cc orders its columns. What a row says is checked
// for everything the rest of velafs relies on; a row that fails is reported as corruption.

LayerRow ReadLayer(Query& query) {
  LayerRow row;
  row.id = query.IdAt<LayerId>(0);
  if (!row.id) query.MarkMalformed();
  if (!query.IsNull(1)) {
    row.parent = query.IdAt<LayerId>(1);
    if (!row.parent || row.parent >= row.id) query.MarkMalformed();
  }
  row.state =
      static_cast<LayerState>(query.Unsigned(2, static_cast<uint64_t>(LayerState::kSealed)));
  row.created_at = query.Signed(3);
  if (!query.IsNull(4)) row.logical_bytes = query.Unsigned(4);
  row.stored_bytes = query.Unsigned(5);
  if (!query.IsNull(6)) row.allocated_bytes = query.Unsigned(6);
  row.seals = query.Unsigned(7);
  row.is_settled = query.Bool(8);
  return row;
}

InodeNumber ReadInodeNumber(Query& query) { return query.IdAt<InodeNumber>(0); }

InodeRow ReadInode(Query& query) {
  InodeRow row;
  row.ino = query.IdAt<InodeNumber>(0);
  row.mode = static_cast<uint32_t>(query.Unsigned(1, UINT32_MAX));
  row.uid = static_cast<uint32_t>(query.Unsigned(2, UINT32_MAX));
  row.gid = static_cast<uint32_t>(query.Unsigned(3, UINT32_MAX));
  row.nlink = static_cast<uint32_t>(query.Unsigned(4, UINT32_MAX));
  row.size_bytes = query.Unsigned(5);
  row.rdev = query.Unsigned(6);
  row.atime = query.Signed(7);
  row.mtime = query.Signed(8);
  row.ctime = query.Signed(9);
  row.target = sql::AsBytes(query.Bytes(10));
  row.born_here = query.Bool(11);
  if (!query.IsNull(12)) row.inherited_bytes = query.Unsigned(12);
  return row;
}

std::optional<TimeNs> ReadTime(Query& query, int column) {
  if (query.IsNull(column)) return {};
  return query.Signed(column);
}

BranchRow ReadBranch(Query& query) {
  BranchRow row;
  row.id = query.IdAt<BranchId>(0);
  row.instance = query.IdAt<InstanceId>(1);
  row.name = query.Text(2);
  row.head = query.IdAt<LayerId>(3);
  row.root = query.IdAt<InodeNumber>(4);
  if (!query.IsNull(5)) row.parent = query.IdAt<BranchId>(5);
  row.parent_name = query.Text(6);
  if (!query.IsNull(7)) row.parent_bookmark = query.IdAt<BookmarkId>(7);
  row.parent_bookmark_name = query.Text(8);
  row.owner = query.Text(9);
  row.created_at = query.Signed(10);
  row.expires_at = ReadTime(query, 11);
  row.is_protected = query.Bool(12);
  row.protected_until = ReadTime(query, 13);
  row.note = query.Text(14);
  if (!query.IsNull(15)) row.quota_bytes = query.Unsigned(15);
  if (!query.IsNull(16)) row.port = static_cast<uint16_t>(query.Unsigned(16, UINT16_MAX));
  row.deleted_at = ReadTime(query, 17);
  row.first_layer = query.IdAt<LayerId>(18);
  if (!query.IsNull(19)) {
    row.shown_as = FileOwner{.uid = static_cast<uint32_t>(query.Unsigned(19, UINT32_MAX)),
                             .gid = static_cast<uint32_t>(query.Unsigned(20, UINT32_MAX))};
  }
  row.is_ephemeral = query.Bool(21);
  if (row.name.empty() || !row.instance || !row.head || !row.root) query.MarkMalformed();
  return row;
}

BookmarkRow ReadBookmark(Query& query) {
  BookmarkRow row;
  row.id = query.IdAt<BookmarkId>(0);
  row.branch = query.IdAt<BranchId>(1);
  row.name = query.Text(2);
  row.layer = query.IdAt<LayerId>(3);
  row.created_at = query.Signed(4);
  row.note = query.Text(5);
  row.expires_at = ReadTime(query, 6);
  row.is_scheduled = query.Bool(7);
  row.root = query.IdAt<InodeNumber>(8);
  if (row.name.empty() || !row.layer || !row.root) query.MarkMalformed();
  return row;
}

ChunkLocation ReadLocation(Query& query) {
  ChunkLocation location;
  location.pack = query.IdAt<PackId>(0);
  location.offset_bytes = query.Unsigned(1);
  location.stored_bytes = static_cast<uint32_t>(query.Unsigned(2, UINT32_MAX));
  location.raw_bytes = static_cast<uint32_t>(query.Unsigned(3, kChunkBytes));
  location.codec = static_cast<Codec>(query.Unsigned(4, static_cast<uint64_t>(Codec::kZstd)));
  if (!location.pack || location.stored_bytes == 0 || location.raw_bytes == 0) {
    query.MarkMalformed();
  }
  return location;
}

std::vector<ChunkId> ReadChunkIds(Query& query) {
  const sql::Blob bytes = query.Bytes(0);
  if (bytes.size() % sizeof(ChunkId) != 0 || bytes.size() / sizeof(ChunkId) > kChunksPerPart) {
    query.MarkMalformed();
    return {};
  }
  std::vector<ChunkId> ids(bytes.size() / sizeof(ChunkId));
  if (!ids.empty()) std::memcpy(ids.data(), bytes.data(), bytes.size());
  return ids;
}

ManifestPartRow ReadManifestPart(Query& query) {
  ManifestPartRow row;
  row.chunks = ReadChunkIds(query);
  const sql::Blob pages = query.Bytes(1);
  if (!pages.empty() && pages.size() != row.chunks.size()) query.MarkMalformed();
  row.pages.resize(pages.size());
  if (!pages.empty()) std::memcpy(row.pages.data(), pages.data(), pages.size());
  return row;
}

Reader::SealedInode ReadSealedInode(Query& query) {
  return {query.IdAt<InodeNumber>(0), query.Unsigned(1)};
}

SettingRow ReadSetting(Query& query) {
  SettingRow row;
  row.scope =
      static_cast<SettingScope>(query.Unsigned(0, static_cast<uint64_t>(SettingScope::kBookmark)));
  row.subject = query.Unsigned(1);
  row.key = query.Text(2);
  row.value = query.Text(3);
  return row;
}

ChunkId ReadHash(Query& query, int column) {
  ChunkId hash;
  const sql::Blob bytes = query.Bytes(column);
  if (bytes.size() != sizeof hash) {
    query.MarkMalformed();
  } else {
    std::memcpy(&hash, bytes.data(), sizeof hash);
  }
  return hash;
}

AuditRow ReadAudit(Query& query) {
  AuditRow row;
  row.id = query.Unsigned(0);
  row.at = query.Signed(1);
  row.uid = static_cast<uint32_t>(query.Unsigned(2, UINT32_MAX));
  row.pid = static_cast<uint32_t>(query.Unsigned(3, UINT32_MAX));
  row.duration_us = query.Unsigned(4);
  row.user = query.Text(5);
  row.verb = query.Text(6);
  row.subjects = query.Text(7);
  row.source = query.Text(8);
  row.detail = query.Text(9);
  row.result = query.Text(10);
  row.hash = ReadHash(query, 11);
  return row;
}

AuditMark ReadAuditMark(Query& query) {
  return {std::string(query.Text(0)), {query.Unsigned(1), ReadHash(query, 2)}};
}

// The one row of that table.
Result<AuditHead> ReadPoint(Query& query, const char* table) {
  std::optional<AuditHead> point;
  VELAFS_TRY(query.ForEach(table, [&](Query& row) {
    point = AuditHead{row.Unsigned(0), ReadHash(row, 1)};
  }));
  if (!point) return Corrupt("the row of " + std::string(table) + " is not in the catalog");
  return *point;
}

bool IsFileName(std::string_view name) {
  return !name.empty() && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

// All rows of a run, as `read` makes them.
template <typename Row>
Result<std::vector<Row>> ReadAll(Query& query, std::string_view table, Row (*read)(Query&)) {
  std::vector<Row> rows;
  VELAFS_TRY(query.ForEach(table, [&](Query& row) { rows.push_back(read(row)); }));
  return rows;
}

// The row of a run that has at most one.
template <typename Row>
Result<std::optional<Row>> ReadOne(Query& query, std::string_view table, Row (*read)(Query&)) {
  std::optional<Row> found;
  VELAFS_TRY(query.ForEach(table, [&](Query& row) { found = read(row); }));
  return found;
}

Status AddLabels(Statements& statements, BranchRow& branch) {
  Query query(statements[Sql::kLabels], branch.id);
  return query.ForEach("labels", [&](Query& row) {
    branch.labels.emplace(std::string(row.Text(0)), std::string(row.Text(1)));
  });
}

// Of many branches, those of all are read at once.
Status AddLabels(Statements& statements, std::vector<BranchRow>& branches) {
  constexpr size_t kMany = 64;
  if (branches.size() < kMany) {
    for (BranchRow& branch : branches) VELAFS_TRY(AddLabels(statements, branch));
    return {};
  }
  std::unordered_map<BranchId, BranchRow*> by_id;
  for (BranchRow& branch : branches) by_id[branch.id] = &branch;
  Query query(statements[Sql::kAllLabels]);
  return query.ForEach("labels", [&](Query& row) {
    const auto branch = by_id.find(row.IdAt<BranchId>(2));
    if (branch == by_id.end()) return;
    branch->second->labels.emplace(std::string(row.Text(0)), std::string(row.Text(1)));
  });
}

Result<std::vector<BranchRow>> ReadBranches(Statements& statements, Sql sql) {
  Query query(statements[sql]);
  VELAFS_ASSIGN(std::vector<BranchRow> branches, ReadAll(query, "branches", ReadBranch));
  VELAFS_TRY(AddLabels(statements, branches));
  return branches;
}

Result<std::optional<BranchRow>> ReadOneBranch(Statements& statements, Query& query) {
  VELAFS_ASSIGN(std::optional<BranchRow> branch, ReadOne(query, "branches", ReadBranch));
  if (branch) VELAFS_TRY(AddLabels(statements, *branch));
  return branch;
}

}  // namespace

Result<std::optional<LayerRow>> Reader::FindLayer(LayerId id) {
  Query query(statements_[Sql::kLayer], id);
  return ReadOne(query, "layers", ReadLayer);
}

Result<LayerRow> Reader::Layer(LayerId id) {
  VELAFS_ASSIGN(const std::optional<LayerRow> row, FindLayer(id));
  if (!row) return Corrupt("layer " + std::to_string(id.value) + " is not in the catalog");
  return *row;
}

Result<std::vector<LayerRow>> Reader::Chain(LayerId top) {
  std::vector<LayerRow> chain;
  for (LayerId id = top; id; id = chain.back().parent) {  // ends: a parent's id is smaller
    VELAFS_ASSIGN(LayerRow row, Layer(id));
    chain.push_back(std::move(row));
  }
  return chain;
}

Result<std::vector<LayerRow>> Reader::Layers() {
  Query query(statements_[Sql::kLayers]);
  return ReadAll(query, "layers", ReadLayer);
}

Result<uint64_t> Reader::LayerUses(LayerId layer) {
  Query query(statements_[Sql::kLayerUses], layer);
  uint64_t uses = 0;
  VELAFS_TRY(query.ForEach("layers", [&](Query& row) { uses = row.Unsigned(0); }));
  return uses;
}

Result<std::vector<LayerId>> Reader::LayerHolders() {
  std::vector<LayerId> holders;
  Query query(statements_[Sql::kLayerHolders]);
  VELAFS_TRY(
      query.ForEach("branches", [&](Query& row) { holders.push_back(row.IdAt<LayerId>(0)); }));
  return holders;
}

Result<bool> Reader::LayerIsEmpty(LayerId layer) {
  Query query(statements_[Sql::kLayerHolds], layer);
  bool holds = false;
  VELAFS_TRY(query.ForEach("layers", [&](Query& row) { holds = row.Bool(0); }));
  return !holds;
}

Result<std::vector<NameRow>> Reader::Names(LayerId layer, InodeNumber directory) {
  std::vector<NameRow> names;
  VELAFS_TRY(ForEachName(layer, directory, [&](std::string_view name, InodeNumber ino) {
    names.push_back({directory, std::string(name), ino});
  }));
  return names;
}

Status Reader::ForEachName(
    LayerId layer, InodeNumber directory,
    const std::function<void(std::string_view name, InodeNumber ino)>& visit) {
  Query query(statements_[Sql::kNames], layer, directory);
  return query.ForEach("names", [&](Query& row) {
    const std::string_view name = sql::AsBytes(row.Bytes(0));
    if (!IsFileName(name)) row.MarkMalformed();
    visit(name, row.IdAt<InodeNumber>(1));
  });
}

Result<std::vector<InodeNumber>> Reader::DirectoriesIn(LayerId layer) {
  Query query(statements_[Sql::kLayerDirectories], layer);
  return ReadAll(query, "names", ReadInodeNumber);
}

Result<std::vector<InodeNumber>> Reader::InodesIn(LayerId layer) {
  Query query(statements_[Sql::kLayerInodes], layer);
  return ReadAll(query, "inodes", ReadInodeNumber);
}

Result<std::vector<Reader::InodeInLayer>> Reader::Inodes(InodeNumber ino, uint64_t limit) {
  std::vector<InodeInLayer> found;
  Query query(statements_[Sql::kInodes], ino, limit);
  VELAFS_TRY(query.ForEach("inodes", [&](Query& row) {
    found.push_back({row.IdAt<LayerId>(13), ReadInode(row)});
  }));
  return found;
}

Result<std::optional<InodeRow>> Reader::Inode(LayerId layer, InodeNumber ino) {
  Query query(statements_[Sql::kInode], ino, layer);
  return ReadOne(query, "inodes", ReadInode);
}

Result<InodeNumber> Reader::NameThrough(LayerId top, InodeNumber directory,
                                        const std::string& name) {
  Query query(statements_[Sql::kNameThrough], top, directory, sql::AsBlob(name));
  InodeNumber ino;
  VELAFS_TRY(query.ForEach("names", [&](Query& row) { ino = ReadInodeNumber(row); }));
  return ino;
}

Result<std::optional<InodeRow>> Reader::InodeThrough(LayerId top, InodeNumber ino) {
  Query query(statements_[Sql::kInodeThrough], top, ino);
  return ReadOne(query, "inodes", ReadInode);
}

Result<std::optional<ManifestPartRow>> Reader::ManifestPart(LayerId layer, InodeNumber ino,
                                                            uint64_t part) {
  Query query(statements_[Sql::kManifestPart], layer, ino, part);
  return ReadOne(query, "manifests", ReadManifestPart);
}

Result<std::vector<Reader::SealedInode>> Reader::SealedInodes(LayerId layer) {
  Query query(statements_[Sql::kSealedInodes], layer);
  return ReadAll(query, "inodes", ReadSealedInode);
}

Result<std::optional<ChunkLocation>> Reader::Chunk(const ChunkId& id) {
  Query query(statements_[Sql::kChunk], sql::Blob(std::as_bytes(std::span(id.bytes))));
  return ReadOne(query, "chunks", ReadLocation);
}

Result<uint64_t> Reader::NamesBytes(LayerId layer) {
  Query query(statements_[Sql::kNamesBytes], layer, kRowBytes);
  uint64_t bytes = 0;
  VELAFS_TRY(query.ForEach("names", [&](Query& row) { bytes = row.Unsigned(0); }));
  return bytes;
}

Result<uint64_t> Reader::NameCount(LayerId layer) {
  Query query(statements_[Sql::kNameCount], layer);
  uint64_t count = 0;
  VELAFS_TRY(query.ForEach("names", [&](Query& row) { count = row.Unsigned(0); }));
  return count;
}

Result<uint64_t> Reader::ChunkCount() {
  Query query(statements_[Sql::kChunkCount]);
  uint64_t count = 0;
  VELAFS_TRY(query.ForEach("chunks", [&](Query& row) { count = row.Unsigned(0); }));
  return count;
}

Result<std::vector<Reader::ChunkRow>> Reader::ChunksAfter(const ChunkId& after, uint64_t limit) {
  std::vector<ChunkRow> rows;
  Query query(statements_[Sql::kChunksAfter], sql::Blob(std::as_bytes(std::span(after.bytes))),
              limit);
  VELAFS_TRY(query.ForEach("chunks", [&](Query& row) {
    ChunkRow& chunk = rows.emplace_back();
    chunk.location = ReadLocation(row);
    const sql::Blob id = row.Bytes(5);
    if (id.size() == sizeof chunk.id) {
      std::memcpy(&chunk.id, id.data(), id.size());
    } else {
      row.MarkMalformed();
    }
  }));
  return rows;
}

Result<std::vector<Reader::ManifestRow>> Reader::ManifestsAfter(const ManifestRow& after,
                                                                uint64_t limit) {
  std::vector<ManifestRow> rows;
  Query query(statements_[Sql::kManifestsAfter], after.layer, after.ino, after.part, limit);
  VELAFS_TRY(query.ForEach("manifests", [&](Query& row) {
    rows.push_back(
        {row.IdAt<LayerId>(1), row.IdAt<InodeNumber>(2), row.Unsigned(3), ReadChunkIds(row)});
  }));
  return rows;
}

Result<std::vector<InodeRow>> Reader::InodesOf(LayerId layer) {
  Query query(statements_[Sql::kInodesOfLayer], layer);
  return ReadAll(query, "inodes", ReadInode);
}

Result<GivenIds> Reader::LastIds() {
  const auto one = [this](Sql sql, std::string_view name) -> Result<uint64_t> {
    Query query(statements_[sql], name);
    uint64_t value = 0;
    VELAFS_TRY(query.ForEach("the sequences", [&](Query& row) {
      if (!row.IsNull(0)) value = row.Unsigned(0);  // NULL: none was given yet
    }));
    return value;
  };
  GivenIds ids;
  VELAFS_ASSIGN(ids.layer.value, one(Sql::kLastId, "layers"));
  VELAFS_ASSIGN(ids.pack.value, one(Sql::kLastId, "packs"));
  VELAFS_ASSIGN(ids.branch.value, one(Sql::kLastId, "branches"));
  VELAFS_ASSIGN(const uint64_t next_ino, one(Sql::kNextNumber, "inode"));
  VELAFS_ASSIGN(const uint64_t next_instance, one(Sql::kNextNumber, "instance"));
  if (next_ino == 0 || next_instance == 0) return Corrupt("a sequence is not in the catalog");
  ids.ino.value = next_ino - 1;
  ids.instance.value = next_instance - 1;
  return ids;
}

Result<std::vector<BranchRow>> Reader::Branches() {
  return ReadBranches(statements_, Sql::kBranches);
}

Result<std::vector<BranchRow>> Reader::DeletedBranches() {
  return ReadBranches(statements_, Sql::kDeletedBranches);
}

Result<std::vector<BranchRow>> Reader::EphemeralBranches() {
  return ReadBranches(statements_, Sql::kEphemeralBranches);
}

Result<std::optional<BranchRow>> Reader::Branch(const std::string& name) {
  Query query(statements_[Sql::kBranchByName], name);
  return ReadOneBranch(statements_, query);
}

Result<std::optional<BranchRow>> Reader::BranchByInstance(InstanceId instance) {
  Query query(statements_[Sql::kBranchByInstance], instance);
  return ReadOneBranch(statements_, query);
}

Result<std::optional<BranchRow>> Reader::BranchById(BranchId id) {
  Query query(statements_[Sql::kBranchById], id);
  return ReadOneBranch(statements_, query);
}

Result<std::vector<BookmarkRow>> Reader::Bookmarks(BranchId branch) {
  Query query(statements_[Sql::kBookmarks], branch);
  return ReadAll(query, "bookmarks", ReadBookmark);
}

Result<std::optional<BookmarkRow>> Reader::Bookmark(BranchId branch, const std::string& name) {
  Query query(statements_[Sql::kBookmark], branch, name);
  return ReadOne(query, "bookmarks", ReadBookmark);
}

Result<InodeNumber> Reader::FirstInode(LayerId layer) {
  Query query(statements_[Sql::kFirstInode], layer);
  InodeNumber first;
  VELAFS_TRY(query.ForEach("inodes", [&](Query& row) { first = row.IdAt<InodeNumber>(0); }));
  return first;
}

Result<std::vector<BookmarkRow>> Reader::ScheduledBookmarks() {
  Query query(statements_[Sql::kScheduledBookmarks]);
  return ReadAll(query, "bookmarks", ReadBookmark);
}

Result<std::optional<BookmarkRow>> Reader::BookmarkById(BookmarkId id) {
  Query query(statements_[Sql::kBookmarkById], id);
  return ReadOne(query, "bookmarks", ReadBookmark);
}

Result<std::vector<Reader::PackRow>> Reader::Packs() {
  std::vector<PackRow> packs;
  Query query(statements_[Sql::kPacks]);
  VELAFS_TRY(query.ForEach("packs", [&](Query& row) {
    packs.push_back({row.IdAt<PackId>(0), row.Bool(1)});
  }));
  return packs;
}

Result<std::vector<SettingRow>> Reader::Settings() {
  Query query(statements_[Sql::kSettings]);
  return ReadAll(query, "settings", ReadSetting);
}

Result<AuditHead> Reader::ReadAuditHead() {
  Query query(statements_[Sql::kAuditHead]);
  return ReadPoint(query, "audit_head");
}

Result<AuditHead> Reader::ReadAuditBegin() {
  Query query(statements_[Sql::kAuditBegin]);
  return ReadPoint(query, "audit_begin");
}

Result<std::vector<AuditMark>> Reader::AuditMarks() {
  Query query(statements_[Sql::kAuditMarks]);
  return ReadAll(query, "audit_marks", ReadAuditMark);
}

Result<std::vector<AuditRow>> Reader::AuditAfter(uint64_t id, uint64_t limit) {
  Query query(statements_[Sql::kAuditAfter], id, limit);
  return ReadAll(query, "audit", ReadAudit);
}

Result<std::vector<AuditRow>> Reader::AuditBefore(uint64_t id, uint64_t limit) {
  Query query(statements_[Sql::kAuditBefore], id, limit);
  return ReadAll(query, "audit", ReadAudit);
}

}  // namespace velafs::catalog
