#include <cstddef>

#include "velafs/catalog/catalog.h"
#include "velafs/catalog/statements.h"

namespace velafs::catalog {
namespace {

using sql::Query;

template <typename... Args>
Status Run(Statements& statements, Sql sql, const Args&... args) {
  return Query(statements[sql], args...).Run();
}

// As Run, for a statement that must change the row of a layer or pack the caller got from here.
template <typename... Args>
Status RunOnRow(Statements& statements, Sql sql, std::string_view kind, uint64_t id,
                const Args&... args) {
  VELAFS_TRY(Run(statements, sql, id, args...));
  if (statements.database().Changes() == 0) {
    return Corrupt(std::string(kind) + " " + std::to_string(id) + " is not in the catalog");
  }
  return {};
}

uint64_t NewRowId(Statements& statements) {
  return static_cast<uint64_t>(statements.database().LastInsertId());
}

// The first of `count` numbers, none of them above `most`. ENOSPC when there are not that many
// left.
Result<uint64_t> Reserve(Statements& statements, std::string_view sequence, uint64_t count,
                         uint64_t most) {
  VELAFS_CHECK(count > 0);
  uint64_t first = 0;
  Query query(statements[Sql::kReserve], sequence, count);
  VELAFS_TRY(query.ForEach("sequences", [&](Query& row) { first = row.Unsigned(0); }));
  if (first == 0)
    return Corrupt("sequence \"" + std::string(sequence) + "\" is not in the catalog");
  if (first <= most && count - 1 <= most - first) return first;
  return SystemError(ENOSPC, "the store has given all of its " + std::to_string(most) + " " +
                                 std::string(sequence) + " numbers")
      .WithHint("export the branches to keep, and import them into a new store");
}

std::optional<uint64_t> IfAny(uint64_t id) {
  return id != 0 ? std::optional<uint64_t>(id) : std::nullopt;
}

// Exists, in words, when another branch has the name or the port.
Status CheckUnique(Reader& reader, Statements& statements, const BranchRow& branch, BranchId self) {
  if (branch.deleted_at) return {};
  VELAFS_ASSIGN(const std::optional<BranchRow> same_name, reader.Branch(branch.name));
  if (same_name && same_name->id != self) return Exists("branch \"" + branch.name + "\" exists");
  if (!branch.port) return {};
  bool is_taken = false;
  Query query(statements[Sql::kBranchByPort], branch.port);
  VELAFS_TRY(
      query.ForEach("branches", [&](Query& row) { is_taken |= row.IdAt<BranchId>(0) != self; }));
  if (is_taken) return Exists("port " + std::to_string(*branch.port) + " is taken");
  return {};
}

Status AddLabels(Statements& statements, BranchId branch,
                 const std::map<std::string, std::string>& labels) {
  for (const auto& [key, value] : labels) {
    VELAFS_TRY(Run(statements, Sql::kAddLabel, branch, key, value));
  }
  return {};
}

// Runs the statement with the columns of `branch` in statements.cc's order, and then `last`.
template <typename... Last>
Status RunWithBranch(Statements& statements, Sql sql, const BranchRow& branch,
                     const Last&... last) {
  return Run(statements, sql, branch.instance, branch.name, branch.head, branch.root,
             IfAny(branch.parent.value), branch.parent_name, IfAny(branch.parent_bookmark.value),
             branch.parent_bookmark_name, branch.owner, branch.created_at, branch.expires_at,
             branch.is_protected, branch.protected_until, branch.note, branch.quota_bytes,
             branch.port, branch.deleted_at, branch.first_layer,
             branch.shown_as ? std::optional(branch.shown_as->uid) : std::nullopt,
             branch.shown_as ? std::optional(branch.shown_as->gid) : std::nullopt,
             branch.is_ephemeral, last...);
}

// Made in `lower`, removed in `upper`, and in no layer below them.
Result<std::vector<NameRow>> VanishingNames(Statements& statements, LayerId lower, LayerId upper) {
  std::vector<NameRow> names;
  Query query(statements[Sql::kVanishingNames], lower, upper);
  VELAFS_TRY(query.ForEach("names", [&](Query& row) {
    names.push_back({row.IdAt<InodeNumber>(0), std::string(sql::AsBytes(row.Bytes(1))), {}});
  }));
  return names;
}

}  // namespace

Result<LayerId> Writer::AddLayer(LayerId parent, LayerState state) {
  VELAFS_TRY(
      Run(statements_, Sql::kAddLayer, IfAny(parent.value), static_cast<int>(state), NowNs()));
  return LayerId(NewRowId(statements_));
}

Status Writer::SetLayerState(LayerId layer, LayerState state) {
  return RunOnRow(statements_, Sql::kSetLayerState, "layer", layer.value, static_cast<int>(state));
}

Status Writer::FreezeLayer(LayerId layer, bool is_settled) {
  return RunOnRow(statements_, Sql::kFreezeLayer, "layer", layer.value,
                  static_cast<int>(LayerState::kFrozen), is_settled);
}

Status Writer::SetLayerSettled(LayerId layer, bool is_settled) {
  return RunOnRow(statements_, Sql::kSetLayerSettled, "layer", layer.value, is_settled);
}

Status Writer::SetLayerLogicalBytes(LayerId layer, std::optional<uint64_t> bytes) {
  return RunOnRow(statements_, Sql::kSetLayerLogicalBytes, "layer", layer.value, bytes);
}

Status Writer::SetLayerStoredBytes(LayerId layer, uint64_t bytes) {
  return RunOnRow(statements_, Sql::kSetLayerStoredBytes, "layer", layer.value, bytes);
}

Status Writer::SetLayerAllocatedBytes(LayerId layer, std::optional<uint64_t> bytes) {
  return RunOnRow(statements_, Sql::kSetLayerAllocatedBytes, "layer", layer.value, bytes);
}

Result<uint64_t> Writer::CountSeal(LayerId layer) {
  VELAFS_TRY(RunOnRow(statements_, Sql::kCountSeal, "layer", layer.value));
  VELAFS_ASSIGN(const LayerRow row, Layer(layer));
  return row.seals;
}

Status Writer::RemoveLayer(LayerId layer) {
  VELAFS_ASSIGN(const uint64_t uses, LayerUses(layer));
  if (uses != 0) return Refused("layer " + std::to_string(layer.value) + " is in use");
  VELAFS_TRY(Run(statements_, Sql::kRemoveLayerNames, layer));
  VELAFS_TRY(Run(statements_, Sql::kRemoveLayerInodes, layer));
  VELAFS_TRY(Run(statements_, Sql::kRemoveLayerManifests, layer));
  return Run(statements_, Sql::kRemoveLayer, layer);
}

Result<std::vector<LayerId>> Writer::RemoveUnusedLayers(LayerId top) {
  std::vector<LayerId> removed;
  for (LayerId id = top; id;) {
    VELAFS_ASSIGN(const std::optional<LayerRow> layer, FindLayer(id));
    if (!layer) break;
    VELAFS_ASSIGN(const uint64_t uses, LayerUses(id));
    if (uses > 0) break;
    VELAFS_TRY(RemoveLayer(id));
    removed.push_back(id);
    id = layer->parent;
  }
  return removed;
}

Status Writer::MergeLayers(LayerId lower, LayerId upper) {
  VELAFS_ASSIGN(const LayerRow above, Layer(upper));
  VELAFS_ASSIGN(const uint64_t uses, LayerUses(lower));
  if (above.parent != lower || uses != 1) {
    return Refused("layer " + std::to_string(lower.value) + " is in use");
  }
  // Where the lower layer made a name and the upper one removed it, there is nothing to hide.
  VELAFS_ASSIGN(const std::vector<NameRow> vanishing, VanishingNames(statements_, lower, upper));
  for (const NameRow& row : vanishing) {
    VELAFS_TRY(RemoveName(lower, row.directory, row.name));
    VELAFS_TRY(RemoveName(upper, row.directory, row.name));
  }
  VELAFS_TRY(Run(statements_, Sql::kMergeOverriddenNames, lower, upper));
  VELAFS_TRY(Run(statements_, Sql::kMergeNames, lower, upper));
  VELAFS_TRY(Run(statements_, Sql::kMergeBirths, lower, upper));
  VELAFS_TRY(Run(statements_, Sql::kMergeOverriddenInodes, lower, upper));
  VELAFS_TRY(Run(statements_, Sql::kMergeInodes, lower, upper));
  VELAFS_TRY(Run(statements_, Sql::kMergeLeftovers, upper));
  VELAFS_TRY(RunOnRow(statements_, Sql::kMergeLayer, "layer", lower.value, upper));
  VELAFS_ASSIGN(const bool is_empty, LayerIsEmpty(lower));
  if (is_empty) return Run(statements_, Sql::kRemoveLayer, lower);
  return Run(statements_, Sql::kSetAsideLayer, lower, static_cast<int>(LayerState::kImporting));
}

Status Writer::PutName(LayerId layer, const NameRow& name) {
  return Run(statements_, Sql::kPutName, layer, name.directory, sql::AsBlob(name.name), name.ino);
}

Status Writer::RemoveName(LayerId layer, InodeNumber directory, const std::string& name) {
  return Run(statements_, Sql::kRemoveName, layer, directory, sql::AsBlob(name));
}

Status Writer::PutInode(LayerId layer, const InodeRow& inode) {
  return Run(statements_, Sql::kPutInode, inode.ino, inode.mode, inode.uid, inode.gid, inode.nlink,
             inode.size_bytes, inode.rdev, inode.atime, inode.mtime, inode.ctime,
             sql::AsBlob(inode.target), inode.born_here, inode.inherited_bytes, layer);
}

Status Writer::RemoveInode(LayerId layer, InodeNumber ino) {
  return Run(statements_, Sql::kRemoveInode, ino, layer);
}

Status Writer::PutManifestPart(LayerId layer, InodeNumber ino, uint64_t part,
                               const ManifestPartRow& content) {
  VELAFS_CHECK(content.chunks.size() <= kChunksPerPart);
  return Run(statements_, Sql::kPutManifestPart, layer, ino, part,
             sql::Blob(std::as_bytes(std::span(content.chunks))),
             sql::Blob(std::as_bytes(std::span(content.pages))));
}

Status Writer::MoveManifests(LayerId from, LayerId to) {
  VELAFS_TRY(Run(statements_, Sql::kReplaceManifests, from, to));
  return Run(statements_, Sql::kMoveManifests, from, to);
}

Result<PackId> Writer::AddPack() {
  VELAFS_TRY(Run(statements_, Sql::kAddPack));
  return PackId(NewRowId(statements_));
}

Status Writer::PublishPack(PackId pack) {
  return RunOnRow(statements_, Sql::kPublishPack, "pack", pack.value);
}

Status Writer::RemovePack(PackId pack) {
  VELAFS_TRY(Run(statements_, Sql::kRemovePackChunks, pack));
  return Run(statements_, Sql::kRemovePack, pack);
}

Status Writer::RemoveEmptyPack(PackId pack) { return Run(statements_, Sql::kRemovePack, pack); }

Status Writer::PutChunk(const ChunkId& id, const ChunkLocation& location) {
  VELAFS_CHECK(!id.IsZeros());  // the name of a chunk that is stored nowhere
  return Run(statements_, Sql::kPutChunk, sql::Blob(std::as_bytes(std::span(id.bytes))),
             location.pack, location.offset_bytes, location.stored_bytes, location.raw_bytes,
             static_cast<int>(location.codec));
}

Status Writer::RemoveChunk(const ChunkId& id) {
  return Run(statements_, Sql::kRemoveChunk, sql::Blob(std::as_bytes(std::span(id.bytes))));
}

Result<InodeNumber> Writer::ReserveInodes(uint64_t count) {
  VELAFS_ASSIGN(const uint64_t first, Reserve(statements_, "inode", count, kMaxInode));
  return InodeNumber(first);
}

Result<InstanceId> Writer::ReserveInstance() {
  VELAFS_ASSIGN(const uint64_t first, Reserve(statements_, "instance", 1, kMaxInstance));
  return InstanceId(first);
}

Status Writer::RaiseIds(const GivenIds& least) {
  const auto raise = [this](std::string_view table, uint64_t id) -> Status {
    VELAFS_TRY(Run(statements_, Sql::kRaiseLastId, table, id));
    if (statements_.database().Changes() > 0) return {};
    return Run(statements_, Sql::kSetLastId, table, id);  // none was given yet
  };
  VELAFS_TRY(raise("layers", least.layer.value));
  VELAFS_TRY(raise("packs", least.pack.value));
  VELAFS_TRY(raise("branches", least.branch.value));
  VELAFS_TRY(Run(statements_, Sql::kRaiseNextNumber, std::string_view("inode"), least.ino));
  return Run(statements_, Sql::kRaiseNextNumber, std::string_view("instance"), least.instance);
}

Result<BranchId> Writer::AddBranch(const BranchRow& branch) {
  VELAFS_TRY(CheckUnique(*this, statements_, branch, BranchId()));
  VELAFS_TRY(RunWithBranch(statements_, Sql::kAddBranch, branch));
  const BranchId id(NewRowId(statements_));
  VELAFS_TRY(AddLabels(statements_, id, branch.labels));
  return id;
}

Status Writer::UpdateBranch(const BranchRow& branch) {
  VELAFS_TRY(CheckUnique(*this, statements_, branch, branch.id));
  VELAFS_TRY(RunWithBranch(statements_, Sql::kUpdateBranch, branch, branch.id));
  if (statements_.database().Changes() == 0) {
    return NotFound("branch \"" + branch.name + "\" does not exist");
  }
  VELAFS_TRY(Run(statements_, Sql::kRemoveLabels, branch.id));
  return AddLabels(statements_, branch.id, branch.labels);
}

Status Writer::RemoveBranch(BranchId branch) {
  VELAFS_TRY(Run(statements_, Sql::kKeepNameOfParent, branch));
  return Run(statements_, Sql::kRemoveBranch, branch);  // the rest by ON DELETE CASCADE
}

Status Writer::AddBookmark(const BookmarkRow& bookmark) {
  Status added = Run(statements_, Sql::kAddBookmark, bookmark.branch, bookmark.name, bookmark.layer,
                     bookmark.created_at, bookmark.note, bookmark.expires_at, bookmark.is_scheduled,
                     bookmark.root);
  if (added.code() == Code::kExists) return Exists("bookmark \"" + bookmark.name + "\" exists");
  return added;
}

Status Writer::RemoveBookmark(BranchId branch, const std::string& name) {
  VELAFS_TRY(Run(statements_, Sql::kRemoveBookmark, branch, name));
  if (statements_.database().Changes() == 0) {
    return NotFound("bookmark \"" + name + "\" does not exist");
  }
  return {};
}

Status Writer::PutSetting(const SettingRow& setting) {
  return Run(statements_, Sql::kPutSetting, static_cast<int>(setting.scope), setting.subject,
             setting.key, setting.value);
}

Status Writer::RemoveSetting(const SettingRow& setting) {
  return Run(statements_, Sql::kRemoveSetting, static_cast<int>(setting.scope), setting.subject,
             setting.key);
}

Status Writer::AddAudit(const AuditRow& row) {
  const sql::Blob hash(std::as_bytes(std::span(row.hash.bytes)));
  VELAFS_TRY(Run(statements_, Sql::kAddAudit, row.id, row.at, row.uid, row.pid, row.duration_us,
                 row.user, row.verb, row.subjects, row.source, row.detail, row.result, hash));
  return Run(statements_, Sql::kMoveAuditHead, row.id, hash);
}

// The beginning first: the table refuses to lose rows that come after it.
Status Writer::TrimAudit(const AuditHead& last) {
  const sql::Blob hash(std::as_bytes(std::span(last.hash.bytes)));
  VELAFS_TRY(Run(statements_, Sql::kMoveAuditBegin, last.count, hash));
  return Run(statements_, Sql::kTrimAudit, last.count);
}

Status Writer::PutAuditMark(const AuditMark& mark) {
  const sql::Blob hash(std::as_bytes(std::span(mark.last.hash.bytes)));
  return Run(statements_, Sql::kPutAuditMark, mark.destination, mark.last.count, hash);
}

Status Writer::RemoveAuditMark(const std::string& destination) {
  return Run(statements_, Sql::kRemoveAuditMark, destination);
}

}  // namespace velafs::catalog
