// A volume's parts. Internal to Volume.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "velafs/base/mutex.h"
#include "velafs/layer/branch.h"
#include "velafs/layer/layer.h"
#include "velafs/layer/volume.h"

namespace velafs::layer {

class Volume::Impl : public BranchHost {
 public:
  explicit Impl(VolumeParts parts) : parts_(std::move(parts)) {}
  ~Impl() override;

  Result<std::shared_ptr<Branch>> Open(const std::string& name);
  Result<std::shared_ptr<Branch>> Open(InstanceId instance);
  std::shared_ptr<Branch> FindOpen(InstanceId instance);
  Result<catalog::CommitSequence> CommitFreeze(
      const std::string& name, const std::function<Status(catalog::Writer&, LayerId)>& also);
  Result<uint64_t> RemoveLayers(const Removal& removal);
  Result<uint64_t> EndInstance(const std::string& name, End end, const Ending& change);
  Status Remove(const std::string& name, const std::function<Status(catalog::Writer&)>& also);
  Status Rename(const std::string& name, const std::string& new_name);
  Result<std::optional<Merge>> BeginMerge();
  Result<uint64_t> FinishMerge(const Merge& merge, const std::function<bool()>& go_on);
  Status SettleLayers(const std::function<bool()>& go_on);
  Result<std::optional<Seal>> BeginSeal(TimeNs frozen_before);
  Result<std::vector<catalog::InodeRow>> SealFiles(Seal& seal, SealSink& sink, uint64_t limit_bytes,
                                                   const std::function<bool()>& go_on);
  Status CommitSeal(Seal& seal, std::vector<catalog::InodeRow> rows,
                    const std::function<Status(catalog::Writer&)>& also);
  Result<uint64_t> GiveBack(const Seal& seal);
  Status EndSeal(const Seal& seal, const Status& outcome);
  Result<std::shared_ptr<Branch>> OpenState(LayerId top, InodeNumber root, const std::string& name);
  void SetQuota(InstanceId instance, std::optional<uint64_t> bytes);
  void HoldBack(const std::set<InstanceId>& full);
  Result<std::vector<SpaceUsage>> UsageOfAll(const std::vector<UsageOf>& tops);
  Result<SpaceUsage> Usage(const std::string& name);
  Status RemoveOrphans();
  Status SyncAll();

  // BranchHost.
  const VolumeParts& parts() const override { return parts_; }
  Result<std::shared_ptr<Layer>> GetLayer(LayerId id, bool is_settled) override;
  uint64_t generation() const override { return generation_; }
  Result<InodeNumber> NewInodeNumber() override;
  void DiscardLater(std::shared_ptr<Layer> layer, InodeNumber ino,
                    catalog::CommitSequence after) override;

 private:
  Result<Branch::NewHead> AddHead(const std::string& name, const Branch::HeadState& state);

  struct Discard {
    std::shared_ptr<Layer> layer;
    InodeNumber ino;
    catalog::CommitSequence after;
  };

  static Status NoSuchBranch(const std::string& name);
  Result<catalog::BranchRow> FindRow(const std::string& name);
  std::vector<std::shared_ptr<Branch>> OpenBranches();
  std::string LayerDirectory(LayerId layer) const;
  Result<uint64_t> RemoveDirectories(const std::vector<LayerId>& layers);
  Status CopyUp(Branch& view, Layer& lower, Layer& upper, InodeNumber ino,
                const std::function<bool()>& go_on);
  Result<std::shared_ptr<Branch>> AddOpened(std::shared_ptr<Branch> branch, LayerId head);
  Status CommitMerge(const Merge& merge, const Layer& lower);
  Status GiveUp(const Merge& merge);
  Status RemoveDoomed();
  // Layers with files that have no name any more but are open, or page files that are to go.
  std::set<LayerId> LayersInFlux();
  Result<uint64_t> RemoveRetired();
  struct Unsettled {
    LayerId layer;
    LayerId pin;  // keeps it until the end
    InodeNumber root;
  };
  Result<std::optional<Unsettled>> PinUnsettled(LayerId after);
  Status SettleLayer(const Unsettled& unsettled);
  void KeepCounts(const std::map<LayerId, uint64_t>& counted);
  void StartUpkeep() REQUIRES(upkeep_lock_);
  void Upkeep();
  Status UpkeepRound();
  void BoundMemory();
  Status DiscardNow();

  const VolumeParts parts_;

  SharedMutex branches_lock_;
  std::unordered_map<InstanceId, std::shared_ptr<Branch>> branches_ GUARDED_BY(branches_lock_);
  // Taken before branches_lock_: whoever makes a branch one of the open ones, or ends one, sees to
  // it that the catalog still has it.
  Mutex opening_lock_;
  std::atomic<uint64_t> generation_ = 1;

  Mutex layers_lock_;
  std::unordered_map<LayerId, std::weak_ptr<Layer>> layers_ GUARDED_BY(layers_lock_);

  Mutex inodes_lock_;
  uint64_t next_inode_ GUARDED_BY(inodes_lock_) = 0;
  uint64_t reserved_end_ GUARDED_BY(inodes_lock_) = 0;

  Mutex upkeep_lock_;
  std::vector<Discard> discards_ GUARDED_BY(upkeep_lock_);
  // Of no branch any more: their directories go once nobody reads them.
  std::vector<std::shared_ptr<Layer>> doomed_ GUARDED_BY(upkeep_lock_);
  std::set<LayerId> unmergeable_ GUARDED_BY(upkeep_lock_);  // where a merge has failed
  std::set<LayerId> unsealable_ GUARDED_BY(upkeep_lock_);
  std::set<LayerId> unsettleable_ GUARDED_BY(upkeep_lock_);
  struct RetiredFile {
    std::shared_ptr<Layer> layer;
    InodeNumber ino;
    std::weak_ptr<PageFile> open;
  };
  // Page files that have been sealed: they go once nobody reads them.
  std::vector<RetiredFile> retired_ GUARDED_BY(upkeep_lock_);
  bool is_upkeep_running_ GUARDED_BY(upkeep_lock_) = false;
  std::mutex stop_lock_;
  std::condition_variable stop_changed_;
  bool stop_ = false;  // guarded by stop_lock_
  std::thread upkeep_;
  // Of that thread.
  uint32_t rounds_ = 0;
  size_t dropped_ = 0;  // inodes, since memory was given back
};

}  // namespace velafs::layer
