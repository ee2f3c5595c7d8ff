// The SQL statements of the catalog, prepared once for each connection.
#pragma once

#include <array>
#include <memory>
#include <string_view>

#include "velafs/base/status.h"
#include "velafs/sql/database.h"

namespace velafs::catalog {

enum class Sql : size_t {
  kLayer,
  kLayers,
  kLayerUses,
  kLayerHolders,
  kLayerHolds,
  kNames,
  kNamesBytes,
  kNameCount,
  kLayerDirectories,
  kLayerInodes,
  kInodes,
  kInode,
  kNameThrough,
  kInodeThrough,
  kManifestPart,
  kSealedInodes,
  kChunk,
  kChunkCount,
  kChunksAfter,
  kManifestsAfter,
  kInodesOfLayer,
  kFirstInode,
  kLastId,
  kNextNumber,
  kBranches,
  kBranchByName,
  kBranchByInstance,
  kBranchByPort,
  kBranchById,
  kDeletedBranches,
  kEphemeralBranches,
  kLabels,
  kAllLabels,
  kBookmarks,
  kBookmark,
  kBookmarkById,
  kScheduledBookmarks,
  kPacks,
  kSettings,
  kAuditHead,
  kAuditBegin,
  kAuditMarks,
  kAuditAfter,
  kAuditBefore,

  kAddLayer,
  kSetLayerState,
  kSetAsideLayer,
  kFreezeLayer,
  kSetLayerSettled,
  kSetLayerLogicalBytes,
  kSetLayerStoredBytes,
  kSetLayerAllocatedBytes,
  kCountSeal,
  kRemoveLayerNames,
  kRemoveLayerInodes,
  kRemoveLayerManifests,
  kRemoveLayer,
  kVanishingNames,
  kMergeOverriddenNames,
  kMergeNames,
  kMergeBirths,
  kMergeOverriddenInodes,
  kMergeInodes,
  kMergeLeftovers,
  kMergeLayer,
  kPutName,
  kRemoveName,
  kPutInode,
  kRemoveInode,
  kPutManifestPart,
  kReplaceManifests,
  kMoveManifests,
  kAddPack,
  kPublishPack,
  kRemovePackChunks,
  kRemovePack,
  kPutChunk,
  kRemoveChunk,
  kReserve,
  kRaiseLastId,
  kSetLastId,
  kRaiseNextNumber,
  kAddBranch,
  kUpdateBranch,
  kKeepNameOfParent,
  kRemoveBranch,
  kAddLabel,
  kRemoveLabels,
  kAddBookmark,
  kRemoveBookmark,
  kPutSetting,
  kRemoveSetting,
  kAddAudit,
  kMoveAuditHead,
  kMoveAuditBegin,
  kTrimAudit,
  kPutAuditMark,
  kRemoveAuditMark,
  kCount,
};

inline constexpr size_t kSqlCount = static_cast<size_t>(Sql::kCount);

std::string_view SqlText(Sql sql);

// One thread at a time. Its database must outlive it.
class Statements {
 public:
  // Corrupt if a table or column is missing.
  static Result<std::unique_ptr<Statements>> Prepare(sql::Database& database);

  sql::Statement& operator[](Sql sql) { return statements_[static_cast<size_t>(sql)]; }
  sql::Database& database() { return database_; }

 private:
  explicit Statements(sql::Database& database) : database_(database) {}
  sql::Database& database_;
  std::array<sql::Statement, kSqlCount> statements_;
};

}  // namespace velafs::catalog
