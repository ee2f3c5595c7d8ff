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

  Result<LayerRow> Layer(LayerId id);  // Corrupt when there is none: ids come from the catalog
  Result<std::optional<LayerRow>> FindLayer(LayerId id);
  // The layer and all below it, nearest first.
  Result<std::vector<LayerRow>> Chain(LayerId top);
  Result<std::vector<LayerRow>> Layers();
  // Layers, branches and bookmarks that stand directly on `layer`.
  Result<uint64_t> LayerUses(LayerId layer);
  // What stands on layers from outside: the heads of all branches, deleted ones too, and the layers
  // of bookmarks; one entry for each.
  Result<std::vector<LayerId>> LayerHolders();
  // True when the layer holds no name, inode or manifest.
  Result<bool> LayerIsEmpty(LayerId layer);

  Result<std::vector<NameRow>> Names(LayerId layer, InodeNumber directory);
  // The same, a name at a time. `visit` must not ask the reader anything.
  Status ForEachName(LayerId layer, InodeNumber directory,
                     const std::function<void(std::string_view name, InodeNumber ino)>& visit);
  // The directories it holds names of; the inodes it holds a row or a manifest of.
  Result<std::vector<InodeNumber>> DirectoriesIn(LayerId layer);
  Result<std::vector<InodeNumber>> InodesIn(LayerId layer);
  // What every layer of the store says of an inode, with the layer it is said in, in no order.
  struct InodeInLayer {
    LayerId layer;
    InodeRow row;

    bool operator==(const InodeInLayer&) const = default;
  };
  Result<std::vector<InodeInLayer>> Inodes(InodeNumber ino);
  Result<std::optional<InodeRow>> Inode(LayerId layer, InodeNumber ino);
  // What layer `top` and those below it say, the nearest first: the inode a name leads to, none
  // when there is no such name; and an inode's row.
  Result<InodeNumber> NameThrough(LayerId top, InodeNumber directory, const std::string& name);
  Result<std::optional<InodeRow>> InodeThrough(LayerId top, InodeNumber ino);
  // Empty when the layer has no manifest of that part.
  Result<std::optional<ManifestPartRow>> ManifestPart(LayerId layer, InodeNumber ino,
                                                      uint64_t part);
  // The files of which the layer has sealed content, and how much each inherits: see InodeRow.
  struct SealedInode {
    InodeNumber ino;
    uint64_t inherited_bytes = 0;
  };
  Result<std::vector<SealedInode>> SealedInodes(LayerId layer);
  Result<std::optional<ChunkLocation>> Chunk(const ChunkId& id);
  Result<uint64_t> ChunkCount();
  // What the layer's inodes and names occupy in the catalog, counted roughly: kRowBytes for each,
  // and its text.
  Result<uint64_t> NamesBytes(LayerId layer);
  Result<uint64_t> NameCount(LayerId layer);  // that it holds itself

  // For whoever reads tables from end to end, a piece at a time: at most `limit` rows after a key,
  // in the order of keys. Fewer than `limit`: there are no more.
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
  // The smallest number it has; of the first layer of a tree, that of the top directory.
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
  // Up to `limit` rows: the first after row `id`, oldest first; the last before it, newest first.
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
  // A head becomes frozen. `is_settled`: all it holds is on disk already.
  Status FreezeLayer(LayerId layer, bool is_settled);
  Status SetLayerSettled(LayerId layer, bool is_settled);
  Status SetLayerLogicalBytes(LayerId layer, std::optional<uint64_t> bytes);
  Status SetLayerStoredBytes(LayerId layer, uint64_t bytes);
  Status SetLayerAllocatedBytes(LayerId layer, std::optional<uint64_t> bytes);
  // One transaction more by which content of the layer is sealed; returns how many those are now.
  Result<uint64_t> CountSeal(LayerId layer);
  // Removes the layer with its names, inodes and manifests. Nothing may stand on it.
  Status RemoveLayer(LayerId layer);
  // Removes `top` and the layers below it, down to the first that something stands on; returns
  // which those were. A layer that is there no more is none.
  Result<std::vector<LayerId>> RemoveUnusedLayers(LayerId top);
  // What `lower` says of names and inodes, and `upper`, which stands on it, does not, is said by
  // `upper` from now on, which then stands on what `lower` stood on; `lower` goes. When it
  // has manifests, which somebody may be reading, it stays in state kImporting, for the caller to
  // remove. `upper` is settled from then on: the caller has made its page files durable. Refused if
  // anything else stands on `lower`.
  Status MergeLayers(LayerId lower, LayerId upper);

  // A layer that holds names of a directory holds that directory's inode too: callers keep that.
  Status PutName(LayerId layer, const NameRow& name);
  Status RemoveName(LayerId layer, InodeNumber directory, const std::string& name);
  Status PutInode(LayerId layer, const InodeRow& inode);
  Status RemoveInode(LayerId layer, InodeNumber ino);
  Status PutManifestPart(LayerId layer, InodeNumber ino, uint64_t part,
                         const ManifestPartRow& content);
  // The manifests of `from` are those of `to` from now on, instead of any it had of the same files.
  Status MoveManifests(LayerId from, LayerId to);

  Result<PackId> AddPack();  // not yet published
  Status PublishPack(PackId pack);
  Status RemovePack(PackId pack);       // and every chunk row in it, for which it looks at all
  Status RemoveEmptyPack(PackId pack);  // no chunk row may lead to it
  Status PutChunk(const ChunkId& id, const ChunkLocation& location);
  Status RemoveChunk(const ChunkId& id);

  // Numbers never given before, `count` of them in a row; the first is returned.
  Result<InodeNumber> ReserveInodes(uint64_t count);
  Result<InstanceId> ReserveInstance();
  // From now on only ids above these are given.
  Status RaiseIds(const GivenIds& least);

  // Both: Exists when another branch that is not deleted has the name or the port.
  Result<BranchId> AddBranch(const BranchRow& branch);  // id ignored
  Status UpdateBranch(const BranchRow& branch);         // by id
  Status RemoveBranch(BranchId branch);                 // and its bookmarks and labels
  Status AddBookmark(const BookmarkRow& bookmark);      // id ignored
  Status RemoveBookmark(BranchId branch, const std::string& name);

  Status PutSetting(const SettingRow& setting);
  Status RemoveSetting(const SettingRow& setting);  // by its scope, subject and key, if it is there

  // The row that follows the head, which moves to it.
  Status AddAudit(const AuditRow& row);
  // Removes the rows up to `last`, which is then where the log begins.
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

// What `body` returns for a reader of `source`, a Catalog or an Observer.
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

// Thread-safe. `storage`, borrowed, is where SQLite keeps the file; what SQLite itself does goes
// past it.
class Catalog {
 public:
  // Makes a new, empty catalog at `path`, durable on return. Exists when there is one.
  static Status Create(const std::string& path, os::Storage& storage = os::HostStorage());
  // Opens it. NotFound when missing, Corrupt when it is no catalog, Failed in words when it is of a
  // later schema version. One of an earlier version is brought up to this one, durably. Recovery
  // from a crash is SQLite's own.
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
  // I/O when they already do. Callers on several threads share one sync.
  Status MakeDurable(CommitSequence sequence);
  CommitSequence LastCommit() const;
  CommitSequence LastDurable() const;

 private:
  struct State;
  explicit Catalog(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace velafs::catalog
