// The catalog: names, inodes, layers, branches, manifests and chunks, in one SQLite database.
//
// Writes happen in transactions, one at a time; a transaction that returned is visible to every
// later read and survives the death of the process, and becomes durable (survives a power cut) when
// MakeDurable of its sequence number returns.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "velafs/base/chunk_location.h"
#include "velafs/base/ids.h"
#include "velafs/base/status.h"
#include "velafs/catalog/rows.h"
#include "velafs/os/storage.h"

namespace velafs::catalog {

inline constexpr int kSchemaVersion = 8;

// Position of a committed transaction in the order of all; 0 is before the first.
using CommitSequence = uint64_t;

class Statements;  // the prepared statements of one connection

// Queries. Valid only inside the callback that got it.
class Reader {
 public:
  explicit Reader(Statements& statements) : statements_(statements) {}

  Result<LayerRow> Layer(LayerId id);  // Corrupt if there is none: ids come from the catalog
  Result<std::optional<LayerRow>> FindLayer(LayerId id);
  // The layer and all below it, nearest first.
  Result<std::vector<LayerRow>> Chain(LayerId top);
  Result<std::vector<LayerRow>> Layers();
  // Counts the layers, branches and bookmarks that stand directly on `layer`, up to two.
  Result<uint64_t> LayerUses(LayerId layer);
  // The heads of all branches, deleted ones too, and the layers of bookmarks: one entry for each
  // branch or bookmark.
  Result<std::vector<LayerId>> LayerHolders();
  // True if the layer holds no name, inode or manifest.
  Result<bool> LayerIsEmpty(LayerId layer);

  Result<std::vector<NameRow>> Names(LayerId layer, InodeNumber directory);
  // The same, a name at a time. `visit` must not ask the reader anything.
  Status ForEachName(LayerId layer, InodeNumber directory,
                     const std::function<void(std::string_view name, InodeNumber ino)>& visit);
  // The directories that the layer holds names of; the inodes that it holds a row or manifest of.
  Result<std::vector<InodeNumber>> DirectoriesIn(LayerId layer);
  Result<std::vector<InodeNumber>> InodesIn(LayerId layer);
  // The rows of an inode in all layers of the store, in no order.
  struct InodeInLayer {
    LayerId layer;
    InodeRow row;

    bool operator==(const InodeInLayer&) const = default;
  };
  Result<std::vector<InodeInLayer>> Inodes(InodeNumber ino, uint64_t limit = INT64_MAX);
  Result<std::optional<InodeRow>> Inode(LayerId layer, InodeNumber ino);
  // Looks a name, or an inode's row, up in layer `top` and those below it; the nearest counts. The
  // inode is none if there is no such name.
  Result<InodeNumber> NameThrough(LayerId top, InodeNumber directory, const std::string& name);
  Result<std::optional<InodeRow>> InodeThrough(LayerId top, InodeNumber ino);
  // Empty if the layer has no manifest of that part.
  Result<std::optional<ManifestPartRow>> ManifestPart(LayerId layer, InodeNumber ino,
                                                      uint64_t part);
  // A file with sealed content in a layer, and how much it inherits: see InodeRow.
  struct SealedInode {
    InodeNumber ino;
    uint64_t inherited_bytes = 0;
  };
  Result<std::vector<SealedInode>> SealedInodes(LayerId layer);
  Result<std::optional<ChunkLocation>> Chunk(const ChunkId& id);
  Result<uint64_t> ChunkCount();
  // The space of the layer's inodes and names in the catalog, counted roughly: kRowBytes for each,
  // and its text.
  Result<uint64_t> NamesBytes(LayerId layer);
  Result<uint64_t> NameCount(LayerId layer);  // in the layer itself

  // For reading a table from end to end in pieces: at most `limit` rows after a key, in the order
  // of keys. Fewer than `limit` rows are the last ones.
  struct ChunkRow {
    ChunkId id;
    ChunkLocation location;
  };
  Result<std::vector<ChunkRow>> ChunksAfter(const ChunkId& after, uint64_t limit);
  struct ManifestRow {
    LayerId layer;
    InodeNumber ino;
    uint64_t part = 0;
    std::vector<ChunkId> chunks;
  };
  Result<std::vector<ManifestRow>> ManifestsAfter(const ManifestRow& after, uint64_t limit);
  Result<std::vector<InodeRow>> InodesOf(LayerId layer);
  // The layer's smallest inode number. In the first layer of a tree it is the top directory's.
  Result<InodeNumber> FirstInode(LayerId layer);
  Result<GivenIds> LastIds();

  // Branches that are not deleted.
  Result<std::vector<BranchRow>> Branches();  // by name
  Result<std::optional<BranchRow>> Branch(const std::string& name);
  Result<std::optional<BranchRow>> BranchByInstance(InstanceId instance);
  Result<std::vector<BranchRow>> DeletedBranches();  // the latest first
  // Deleted or not.
  Result<std::vector<BranchRow>> EphemeralBranches();
  Result<std::optional<BranchRow>> BranchById(BranchId id);

  Result<std::vector<BookmarkRow>> Bookmarks(BranchId branch);  // oldest first
  Result<std::optional<BookmarkRow>> Bookmark(BranchId branch, const std::string& name);
  Result<std::optional<BookmarkRow>> BookmarkById(BookmarkId id);
  Result<std::vector<BookmarkRow>> ScheduledBookmarks();  // of all branches, oldest first

  struct PackRow {
    PackId id;
    bool published = false;  // false: written by an import that has not finished
  };
  Result<std::vector<PackRow>> Packs();

  Result<std::vector<SettingRow>> Settings();

  Result<AuditHead> ReadAuditHead();
  // The last row that was trimmed: the log begins with the one after it.
  Result<AuditHead> ReadAuditBegin();
  Result<std::vector<AuditMark>> AuditMarks();  // by destination
  // Up to `limit` rows: those after row `id`, oldest first; those before it, newest first.
  Result<std::vector<AuditRow>> AuditAfter(uint64_t id, uint64_t limit);
  Result<std::vector<AuditRow>> AuditBefore(uint64_t id, uint64_t limit);

 protected:
  Statements& statements_;
};

// Queries and changes of one transaction. Every Put replaces what was there.
class Writer : public Reader {
 public:
  using Reader::Reader;

  Result<LayerId> AddLayer(LayerId parent, LayerState state);  // empty, and so settled
  Status SetLayerState(LayerId layer, LayerState state);
  // Freezes a head. `is_settled`: all it holds is on disk already.
  Status FreezeLayer(LayerId layer, bool is_settled);
  Status SetLayerSettled(LayerId layer, bool is_settled);
  Status SetLayerLogicalBytes(LayerId layer, std::optional<uint64_t> bytes);
  Status SetLayerStoredBytes(LayerId layer, uint64_t bytes);
  Status SetLayerAllocatedBytes(LayerId layer, std::optional<uint64_t> bytes);
  // Counts one more transaction that seals content of the layer; returns the count.
  Result<uint64_t> CountSeal(LayerId layer);
  // Removes the layer with its names, inodes and manifests. Nothing may stand on it.
  Status RemoveLayer(LayerId layer);
  // Removes `top` and the layers below it, down to the first that something stands on; returns the
  // removed ones. Does nothing if `top` does not exist.
  Result<std::vector<LayerId>> RemoveUnusedLayers(LayerId top);
  // Moves the names and inodes of `lower` that `upper`, which stands on it, does not override to
  // `upper`. Then `upper` stands on the parent of `lower`, and `lower` is removed. If it has
  // manifests, which somebody may be reading, it stays in state kImporting, and the caller removes
  // it. `upper` is settled then: the caller has made its page files durable. Refused if anything
  // else stands on `lower`.
  Status MergeLayers(LayerId lower, LayerId upper);

  // A layer that holds names of a directory must hold that directory's inode too: callers see to
  // it.
  Status PutName(LayerId layer, const NameRow& name);
  Status RemoveName(LayerId layer, InodeNumber directory, const std::string& name);
  Status PutInode(LayerId layer, const InodeRow& inode);
  Status RemoveInode(LayerId layer, InodeNumber ino);
  Status PutManifestPart(LayerId layer, InodeNumber ino, uint64_t part,
                         const ManifestPartRow& content);
  // Moves the manifests of `from` to `to`. They replace those of the same files there.
  Status MoveManifests(LayerId from, LayerId to);

  Result<PackId> AddPack();  // not yet published
  Status PublishPack(PackId pack);
  Status RemovePack(PackId pack);       // and its chunk rows; reads all chunk rows for that
  Status RemoveEmptyPack(PackId pack);  // no chunk row may lead to it
  Status PutChunk(const ChunkId& id, const ChunkLocation& location);
  Status RemoveChunk(const ChunkId& id);

  // Reserves `count` numbers in a row that were never given before; returns the first.
  Result<InodeNumber> ReserveInodes(uint64_t count);
  Result<InstanceId> ReserveInstance();
  // From now on only ids above these are given.
  Status RaiseIds(const GivenIds& least);

  // Both: Exists if another branch that is not deleted has the name or the port.
  Result<BranchId> AddBranch(const BranchRow& branch);  // id ignored
  Status UpdateBranch(const BranchRow& branch);         // by id
  Status RemoveBranch(BranchId branch);                 // and its bookmarks and labels
  Status AddBookmark(const BookmarkRow& bookmark);      // id ignored
  Status RemoveBookmark(BranchId branch, const std::string& name);

  Status PutSetting(const SettingRow& setting);
  Status RemoveSetting(const SettingRow& setting);  // by its scope, subject and key, if it is there

  // Adds the row after the head, and moves the head to it.
  Status AddAudit(const AuditRow& row);
  // Removes the rows up to `last`; the log begins after it.
  Status TrimAudit(const AuditHead& last);
  Status PutAuditMark(const AuditMark& mark);
  Status RemoveAuditMark(const std::string& destination);  // if it is there
};

template <typename T>
inline constexpr bool kIsResult = false;
template <typename T>
inline constexpr bool kIsResult<Result<T>> = true;
template <typename Body>
concept ReturnsResult = kIsResult<std::invoke_result_t<Body&, Reader&>>;

// Runs `body` with a reader of `source`, a Catalog or an Observer, and returns its result.
template <typename Source, ReturnsResult Body>
std::invoke_result_t<Body&, Reader&> ReadValue(Source& source, Body& body) {
  std::optional<std::invoke_result_t<Body&, Reader&>> value;
  const std::function<Status(Reader&)> keep_value = [&](Reader& reader) {
    value.emplace(std::invoke(body, reader));
    return value->status();
  };
  VELAFS_TRY(source.Read(keep_value));
  return *std::move(value);
}

// Thread-safe. `storage`, borrowed, is where SQLite keeps the file; SQLite itself does not use it.
class Catalog {
 public:
  // Makes a new, empty catalog at `path`, durable on return. Exists if there is one.
  static Status Create(const std::string& path, os::Storage& storage = os::HostStorage());
  // Opens a catalog. NotFound if it is missing, Corrupt if it is no catalog, Failed in words if it
  // is of a later schema version. One of an earlier version is brought up to this one, durably.
  // SQLite recovers it from a crash.
  static Result<std::unique_ptr<Catalog>> Open(const std::string& path,
                                               os::Storage& storage = os::HostStorage());
  ~Catalog();

  // Runs `body` with the connection to itself. A failed body or commit leaves no trace. An SQLite
  // failure for want of space is ENOSPC.
  Status Read(const std::function<Status(Reader&)>& body);
  // The same, for a body that returns a Result or is a query of the reader: returns the value.
  template <ReturnsResult Body>
  auto Read(Body&& body) {
    return ReadValue(*this, body);
  }
  Result<CommitSequence> Write(const std::function<Status(Writer&)>& body);

  // Returns when the transaction with that number, and all before it, would survive a power cut. No
  // I/O if they already do. Callers on several threads share one sync.
  Status MakeDurable(CommitSequence sequence);
  CommitSequence LastCommit() const;
  CommitSequence LastDurable() const;

 private:
  struct State;
  explicit Catalog(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace velafs::catalog
