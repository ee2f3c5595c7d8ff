// All branches of a store as live filesystem trees, and the operations that change whole branches.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "velafs/base/ids.h"
#include "velafs/base/status.h"
#include "velafs/catalog/catalog.h"
#include "velafs/layer/tree_difference.h"
#include "velafs/layer/volume_parts.h"

namespace velafs::layer {

class Branch;

struct SpaceUsage {
  uint64_t own_bytes = 0;      // on disk in layers that nothing else needs
  uint64_t logical_bytes = 0;  // sum of the sizes of its regular files
  // The branch has not been opened since its daemon died: logical_bytes is of its last freeze.
  bool is_estimate = false;
};

// What stands on `top`: a branch's head, or the layer of a bookmark, which has no instance.
struct UsageOf {
  LayerId top;
  InstanceId instance;
};

// The head of a branch whose life under the mount ends.
struct EndedHead {
  LayerId id;
  LayerId parent;         // none when there is no layer below
  bool is_empty = false;  // its parent is the same state
};

// Thread-safe.
class Volume {
 public:
  explicit Volume(VolumeParts parts);
  ~Volume();

  // The branch, opened when it is not open yet. NotFound, or ESTALE for an instance that is no
  // more.
  Result<std::shared_ptr<Branch>> Open(const std::string& name);
  Result<std::shared_ptr<Branch>> Open(InstanceId instance);
  // Null when it is not open.
  std::shared_ptr<Branch> FindOpen(InstanceId instance);

  // Freezes what branch `name` is now, atomically over all its files and while it is written. Once
  // the layer that holds that state is on disk, `also` runs in a catalog transaction: there a
  // caller makes the branch or bookmark that stands on it. Durable on return. If it fails, `also`
  // has not run, or left nothing; only a failure to make the catalog durable leaves that open. A
  // head that holds nothing is not frozen: its parent is that state already. Nothing else may
  // freeze, reset or remove the branch meanwhile.
  Status Freeze(const std::string& name,
                const std::function<Status(catalog::Writer&, LayerId frozen)>& also);
  // The same, but `also` is not durable before the catalog has made the returned transaction so:
  // callers on several threads then share one sync.
  Result<catalog::CommitSequence> CommitFreeze(
      const std::string& name, const std::function<Status(catalog::Writer&, LayerId frozen)>& also);

  // A catalog transaction that says which layers it has removed.
  // It may run more than once: see SpaceReserve.
  using Removal = std::function<Result<std::vector<LayerId>>(catalog::Writer&)>;
  // Runs it. Durable on return; the disk space of those layers, returned in bytes, is free.
  Result<uint64_t> RemoveLayers(const Removal& removal);

  // Ends this life of branch `name` under the mount: `change` gives its row another instance, or
  // removes it. Every change of the branch's files is held off meanwhile; from then on open inodes
  // of it answer ESTALE. With kKeep, what it has been is made durable first, and its head is as
  // after a clean end; it fails when the branch has. Durable on return, as RemoveLayers.
  enum class End { kKeep, kDiscard };
  using Ending = std::function<Result<std::vector<LayerId>>(catalog::Writer&, catalog::BranchRow,
                                                            const EndedHead&)>;
  Result<uint64_t> EndInstance(const std::string& name, End end, const Ending& change);

  // Removes the branch and every layer nothing else needs; as EndInstance with kDiscard. `also`
  // runs in the same transaction, before the removal.
  Status Remove(const std::string& name, const std::function<Status(catalog::Writer&)>& also);

  // Durable on return. What is open stays open.
  Status Rename(const std::string& name, const std::string& new_name);

  // The quota of a branch as its row has it now, for one that is open.
  void SetQuota(InstanceId instance, std::optional<uint64_t> bytes);
  // Those branches, and no others, do nothing more that needs space: EDQUOT. Of those that are
  // open.
  void HoldBack(const std::set<InstanceId>& full);

  // Layers that nothing needs for themselves any more, as bookmarks and clones leave them when they
  // go, are merged into the frozen ones that stand on them: what those override is given back, and
  // chains get shorter. Nothing anybody sees changes. Begin with no other operation on branches
  // under way; nothing when there is none to merge. Then Finish, during which all goes on; it
  // returns how much space was freed. With `go_on` false, or a failure, what was done stays done,
  // and both layers are as good as before. One merge at a time.
  struct Merge {
    LayerId lower;
    LayerId upper;
    LayerId pin;  // keeps them until the end
    InodeNumber root;
  };
  Result<std::optional<Merge>> BeginMerge();
  Result<uint64_t> FinishMerge(const Merge& merge, const std::function<bool()>& go_on);

  // Settles the frozen layers that a crash has left, and counts the sizes of their files if nobody
  // has: only settled layers are merged, sealed and checked. Returns early once `go_on` is false.
  // Not while a merge or a sealing is under way.
  Status SettleLayers(const std::function<bool()>& go_on);

  // A frozen layer's pages become chunks, and nothing anybody sees changes: all is as with a merge,
  // and no merge runs meanwhile. Begin, with no other operation on branches under way. Then, until
  // `is_all`, files of about `limit_bytes` go into a sink, and are committed once that has made
  // them durable. Then page files of what was committed are given back, and the space they took
  // returned. End, in any case.
  struct Seal {
    LayerId layer;
    LayerId pin;  // keeps it until the end; the sink's manifests are this layer's at first
    std::shared_ptr<Branch> view;
    std::vector<catalog::InodeRow> committed = {};
    catalog::CommitSequence last_commit = 0;
    uint64_t seals = 0;                  // that have been committed of the layer, ever
    std::vector<InodeNumber> gone = {};  // whose page files the layer has, and nobody sees
    bool is_all = false;
  };
  class SealSink {
   public:
    virtual ~SealSink() = default;
    // Stores a chunk of 1 .. kChunkBytes bytes; zeros for one of zeros.
    virtual Result<ChunkId> Store(std::span<const std::byte> content) = 0;
    virtual Status PutManifest(InodeNumber ino, uint64_t part, catalog::ManifestPartRow row) = 0;
  };
  Result<std::optional<Seal>> BeginSeal(TimeNs frozen_before);
  // The rows the layer is to have of the files. Refused when `go_on` was false.
  Result<std::vector<catalog::InodeRow>> SealFiles(Seal& seal, SealSink& sink, uint64_t limit_bytes,
                                                   const std::function<bool()>& go_on);
  // One transaction, which GiveBack makes durable. `also` publishes the chunks in it.
  Status CommitSeal(Seal& seal, std::vector<catalog::InodeRow> rows,
                    const std::function<Status(catalog::Writer&)>& also);
  Result<uint64_t> GiveBack(const Seal& seal);
  // A layer that could not be sealed, but for want of space, is left alone from then on.
  Status EndSeal(const Seal& seal, const Status& outcome);

  // For each in its order. Opens no branch, and may be some seconds old.
  Result<std::vector<SpaceUsage>> UsageOfAll(const std::vector<UsageOf>& tops);
  // Of a branch, never an estimate: it is opened when it must be.
  Result<SpaceUsage> Usage(const std::string& name);

  // What layer `top`, which nothing changes or removes meanwhile, shows from directory `root` on,
  // to be read only. `name` is what messages call it.
  Result<std::shared_ptr<Branch>> OpenState(LayerId top, InodeNumber root, const std::string& name);

  // See CompareTrees. A branch whose state is given must have been opened.
  Result<std::vector<FileDifference>> Compare(const FindTreeState& a, const FindTreeState& b,
                                              const std::function<bool()>& go_on);

  // Removes layer directories the catalog does not know, and page files of layers that are sealed.
  // Once, before anything is opened.
  Status RemoveOrphans();

  // Makes everything written durable, on every open branch. The first failure is returned, the rest
  // is tried all the same.
  Status SyncAll();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace velafs::layer
