// All branches of a store as live filesystem trees, and the operations that change whole branches.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "velafs/base/ids.h"
#include "velafs/base/mutex.h"
#include "velafs/base/periodic_thread.h"
#include "velafs/base/status.h"
#include "velafs/catalog/catalog.h"
#include "velafs/layer/branch_host.h"
#include "velafs/layer/delayed_removals.h"
#include "velafs/layer/failed_layers.h"

namespace velafs::layer {

class Branch;

struct SpaceUsage {
  uint64_t own_bytes = 0;      // on disk in layers that nothing else needs
  uint64_t logical_bytes = 0;  // sum of the sizes of its regular files
  // The branch has not been opened since its daemon died: logical_bytes is of its last freeze.
  bool is_estimate = false;
};

// A branch, with its head, or a bookmark, with its layer and no instance.
struct UsageOf {
  LayerId top;
  InstanceId instance;
};

// The head of a branch whose life under the mount ends.
struct EndedHead {
  LayerId id;
  LayerId parent;         // none if there is no layer below
  bool is_empty = false;  // its parent is the same state
};

// Thread-safe.
class Volume : public BranchHost {
 public:
  explicit Volume(VolumeParts parts) : parts_(std::move(parts)) {}
  // How much branches keep in memory of inodes and names beyond what was in use in the last
  // seconds. May be exceeded for as long as it takes to drop the rest.
  static constexpr size_t kMostLoadedBytes = size_t{32} << 20;
  ~Volume() override;

  // Returns the branch, and opens it if it is not open yet. NotFound, or ESTALE for an instance
  // that is no more.
  Result<std::shared_ptr<Branch>> Open(const std::string& name);
  Result<std::shared_ptr<Branch>> Open(InstanceId instance);
  // Null if it is not open.
  std::shared_ptr<Branch> FindOpen(InstanceId instance);
  // Syncs the branch, unless nobody has opened it since it was closed cleanly: then nothing is left
  // to be synced. Opens, and recovers, one that was not closed cleanly.
  Status SyncUnlessClean(const std::string& name);
  std::vector<std::shared_ptr<Branch>> OpenBranches();
  // The state of layer `top` from directory `root` on, to be read only. Nothing may change or
  // remove the layer meanwhile. Messages call the state `name`.
  Result<std::shared_ptr<Branch>> OpenState(LayerId top, InodeNumber root, const std::string& name);

  // Freezes the present state of branch `name`, atomically over all its files and while it is
  // written. Once the layer that holds that state is on disk, `also` runs in a catalog transaction:
  // there a caller makes the branch or bookmark that stands on it. Durable on return. If it fails,
  // `also` has not run, or left nothing; only a failure to make the catalog durable leaves that
  // open. A head that holds nothing is not frozen: its parent is that state already. Nothing else
  // may freeze, reset or remove the branch meanwhile.
  using AtFreeze = std::function<Status(catalog::Writer&, LayerId frozen)>;
  Status Freeze(const std::string& name, const AtFreeze& also);
  // The same, but `also` is not durable before the catalog has made the returned transaction so:
  // callers on several threads then share one sync.
  Result<catalog::CommitSequence> CommitFreeze(const std::string& name, const AtFreeze& also);

  // A catalog transaction that returns the layers it has removed. It may run more than once: see
  // SpaceReserve.
  using Removal = std::function<Result<std::vector<LayerId>>(catalog::Writer&)>;
  // Runs the transaction and removes those layers from disk. Durable on return. Returns the bytes
  // that were freed.
  Result<uint64_t> RemoveLayers(const Removal& removal);

  // Ends this life of branch `name` under the mount: `change` gives its row another instance, or
  // removes it. Every change of the branch's files is held off meanwhile; from then on open inodes
  // of it answer ESTALE. With kKeep, its content is made durable first, and its head is as after a
  // clean end; this fails if the branch has failed. Durable on return, as RemoveLayers.
  enum class End { kKeep, kDiscard };
  using Ending = std::function<Result<std::vector<LayerId>>(catalog::Writer&, catalog::BranchRow,
                                                            const EndedHead&)>;
  Result<uint64_t> EndInstance(const std::string& name, End end, const Ending& change);
  // The two halves of it, for several ends that share a sync: after the first the branch has ended,
  // but not durably, and nothing of it is removed from disk.
  struct Ended {
    catalog::CommitSequence committed = 0;
    std::vector<LayerId> removed;
  };
  Result<Ended> CommitEnd(const std::string& name, End end, const Ending& change);
  Result<uint64_t> FinishEnds(const std::vector<Ended>& ends);
  // Removes the branch and every layer nothing else needs; as EndInstance with kDiscard. `also`
  // runs in the same transaction, before the removal.
  Status Remove(const std::string& name, const std::function<Status(catalog::Writer&)>& also);
  // Durable on return. What is open stays open.
  Status Rename(const std::string& name, const std::string& new_name);

  // Tells a branch, if it is open, of the quota that its row has now.
  void SetQuota(InstanceId instance, std::optional<uint64_t> bytes);
  // From now on operations that need more space fail with EDQUOT on the open branches in `full`,
  // and on no others.
  void BlockGrowth(const std::set<InstanceId>& full);

  // The usage of each, in the same order. Opens no branch, and may be some seconds old.
  Result<std::vector<SpaceUsage>> UsageOfAll(const std::vector<UsageOf>& tops);
  // The usage of a branch. Never an estimate: opens the branch if need be.
  Result<SpaceUsage> Usage(const std::string& name);

  // At least 1. Set to the kernel's granularity, so that the daemon's times and the kernel's sort.
  void SetTimeGranularity(TimeNs granularity) { time_granularity_ = granularity; }

  // Makes everything written durable, on every open branch. Returns the first failure; the rest is
  // tried all the same.
  Status SyncAll();

  // BranchHost.
  const VolumeParts& parts() const override { return parts_; }
  Result<std::shared_ptr<Layer>> GetLayer(LayerId id, bool is_settled) override;
  uint64_t generation() const override { return generation_; }
  Result<InodeNumber> NewInodeNumber() override;
  TimeNs time_granularity() const override { return time_granularity_; }
  void NoteLoaded(size_t bytes) override;
  void DiscardLater(std::shared_ptr<Layer> layer, InodeNumber ino,
                    catalog::CommitSequence after) override;

  // For jobs on frozen layers: LayerMerger, LayerSealer, SettleLayers.
  // Raises the generation, in a transaction that moves content.
  void NoteMove() { ++generation_; }
  // After that transaction, on every open branch: see Branch::FollowMove.
  Status FollowMove(LayerId layer, const std::vector<InodeNumber>& files);
  // The layers that a job must leave alone for now: files in them have no name any more but are
  // open, or their page files wait to be removed.
  std::set<LayerId> LayersInFlux();
  FailedJobs& failed_jobs() { return failed_jobs_; }
  DelayedRemovals& removals() { return removals_; }
  // Removes the layers added to `removals` that nobody reads any more. Durable on return.
  Status RemoveUnusedLayers();

 private:
  Result<catalog::BranchRow> FindRow(const std::string& name);
  Result<std::optional<catalog::BranchRow>> FindRow(InstanceId instance);
  Result<EndedHead> DescribeClosed(const catalog::BranchRow& row);
  Result<std::shared_ptr<Branch>> AddOpened(std::shared_ptr<Branch> branch, LayerId head);
  uint64_t RemoveDirectories(const std::vector<LayerId>& layers);
  void CacheCounts(const std::map<LayerId, uint64_t>& counted);
  void StartUpkeep();
  Status UpkeepRound();
  void BoundMemory(const std::vector<std::shared_ptr<Branch>>& branches);
  void DropIdle(const std::vector<std::shared_ptr<Branch>>& branches, uint32_t rounds);
  void DropLongIdle(const std::vector<std::shared_ptr<Branch>>& branches);
  void GiveBackMemory();

  const VolumeParts parts_;

  SharedMutex branches_lock_;
  std::unordered_map<InstanceId, std::shared_ptr<Branch>> branches_ GUARDED_BY(branches_lock_);
  // Taken before branches_lock_ to add an open branch or to end one, so that the catalog has each
  // open branch.
  Mutex opening_lock_;
  std::atomic<uint64_t> generation_ = 1;
  std::atomic<TimeNs> time_granularity_ = 1;

  Mutex layers_lock_;
  std::unordered_map<LayerId, std::weak_ptr<Layer>> layers_ GUARDED_BY(layers_lock_);

  Mutex inodes_lock_;
  uint64_t next_inode_ GUARDED_BY(inodes_lock_) = 0;
  uint64_t reserved_end_ GUARDED_BY(inodes_lock_) = 0;

  FailedJobs failed_jobs_;
  DelayedRemovals removals_{parts_.catalog};

  std::atomic<size_t> loaded_bytes_ = 0;  // since upkeep was last woken

  // Of the upkeep's thread.
  std::chrono::steady_clock::time_point next_round_;
  uint32_t rounds_ = 0;
  std::array<uint32_t, 5> rounds_in_second_{};  // of the latest seconds, this one first
  size_t dropped_bytes_ = 0;                    // since freed memory was given back
  size_t most_bytes_ = 0;                       // that branches had in memory since then
  std::string last_failure_;                    // a lasting one is logged once
  Mutex upkeep_lock_;
  // Last: it uses the members above.
  std::optional<PeriodicThread> upkeep_ GUARDED_BY(upkeep_lock_);
};

}  // namespace velafs::layer
