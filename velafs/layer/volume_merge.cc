// Merging a frozen layer into the one that stands on it.
//
// Everything that can be seen stays as it is at every moment, whatever is cut off where: pages that
// the upper layer shows from the lower one are copied into it, which shows them as they were; only
// when all of that is durable does one transaction take the lower layer out of the chain. Meanwhile
// the upper layer is not settled (DURABILITY.md, 10): a crash may leave page files in it whose maps
// were never written, and those are not there.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <limits>
#include <thread>

#include "velafs/layer/layer_tree.h"
#include "velafs/layer/volume_impl.h"

namespace velafs::layer {
namespace {

constexpr uint64_t kPagesAtOnce = 128;
constexpr uint64_t kPagesPerSync = 1024;
constexpr uint64_t kPagesPerLook = 128 * 1024;  // what is held of them is looked at together

Status Stopped() { return Refused("merging of layers was stopped"); }

// Pages written to the upper layer's file, and made durable now and then, so that nobody who has to
// wait for all of the branch waits long.
class Copier {
 public:
  Copier(Branch& view, const LayerContent& from, PageFile& to, const Attributes& seen,
         const std::function<bool()>& go_on)
      : view_(view), from_(from), to_(to), seen_(seen), go_on_(go_on) {}

  // Of pages that `from` holds, and `to` does not yet.
  Status Copy(PageNumber page, uint64_t pages) {
    for (const PageNumber end = page + pages; page < end;) {
      if (!go_on_()) return Stopped();
      const uint64_t offset = page * kPageBytes;
      VELAFS_ASSIGN(const PageFile::Extent extent,
                    from_.ExtentAt(offset, (end - page) * kPageBytes));
      const uint64_t whole = std::max<uint64_t>(extent.length_bytes / kPageBytes, 1);
      const bool is_hole = !extent.is_data && extent.length_bytes >= kPageBytes;
      VELAFS_TRY(is_hole ? to_.PunchPages(page, whole) : CopyRun(page, whole));
      page += whole;
    }
    return {};
  }
  // Whatever `from` has of them.
  Status CopyData(PageNumber page, uint64_t pages) {
    const auto began = std::chrono::steady_clock::now();
    buffer_.resize(pages * kPageBytes);
    VELAFS_ASSIGN(const size_t got, view_.Read(seen_.ino, page * kPageBytes, buffer_));
    VELAFS_TRY(to_.Write(page * kPageBytes, std::span(buffer_).first(got)));
    to_.Hold(page, pages);
    copied_ += pages;
    if (copied_ >= kPagesPerSync) {
      copied_ = 0;
      VELAFS_TRY(to_.Sync(os::SyncKind::kData));
    }
    // The disk is somebody else's half of the time.
    std::this_thread::sleep_for(std::chrono::steady_clock::now() - began);
    return {};
  }
  // Writing has changed the times.
  Status Finish() {
    VELAFS_TRY(to_.SetTimes(seen_.atime, seen_.mtime));
    return to_.Sync(os::SyncKind::kFull);
  }

 private:
  Status CopyRun(PageNumber page, uint64_t pages) {
    for (const PageNumber end = page + pages; page < end;) {
      if (!go_on_()) return Stopped();
      const uint64_t some = std::min(end - page, kPagesAtOnce);
      VELAFS_TRY(CopyData(page, some));
      page += some;
    }
    return {};
  }

  Branch& view_;
  const LayerContent& from_;
  PageFile& to_;
  const Attributes seen_;
  const std::function<bool()>& go_on_;
  std::vector<std::byte> buffer_;
  uint64_t copied_ = 0;
};

}  // namespace

Result<std::optional<Volume::Merge>> Volume::Impl::BeginMerge() {
  std::set<LayerId> left_out;
  {
    MutexLock lock(upkeep_lock_);
    left_out = unmergeable_;
  }
  const std::set<LayerId> in_use = LayersInFlux();
  Merge merge;
  const auto find = [&](catalog::Reader& reader) -> Status {
    LayerTree tree;
    VELAFS_TRY(tree.Load(reader));
    auto pair = tree.FindMerge(left_out);
    while (pair && (in_use.contains(pair->lower->id) || in_use.contains(pair->upper->id))) {
      left_out.insert(pair->lower->id);
      pair = tree.FindMerge(left_out);
    }
    if (!pair) return {};
    merge.lower = pair->lower->id;
    merge.upper = pair->upper->id;
    VELAFS_ASSIGN(const auto chain, reader.Chain(merge.upper));
    VELAFS_ASSIGN(merge.root, reader.FirstInode(chain.back().id));
    return {};
  };
  VELAFS_TRY(parts_.catalog.Read(find));
  if (!merge.lower) return std::optional<Merge>();
  VELAFS_TRY(parts_.catalog
                 .Write([&](catalog::Writer& writer) -> Status {
                   VELAFS_ASSIGN(merge.pin,
                                 writer.AddLayer(merge.upper, catalog::LayerState::kImporting));
                   return {};
                 })
                 .status());
  return std::optional(merge);
}

Result<uint64_t> Volume::Impl::FinishMerge(const Merge& merge, const std::function<bool()>& go_on) {
  const auto run = [&]() -> Result<uint64_t> {
    VELAFS_ASSIGN(const auto view, OpenState(merge.upper, merge.root, "a frozen layer"));
    // Once its layer is in memory, and settled there: nobody recovers it while it is copied to.
    VELAFS_ASSIGN(const auto begun, parts_.catalog.Write([&](catalog::Writer& writer) -> Status {
      VELAFS_TRY(writer.SetLayerState(merge.upper, catalog::LayerState::kFrozen));
      return writer.SetLayerSettled(merge.upper, false);
    }));
    VELAFS_TRY(parts_.catalog.MakeDurable(begun));
    const std::vector<std::shared_ptr<Layer>> layers = view->Layers();
    Layer& upper = *layers[0];
    Layer& lower = *layers[1];
    for (const InodeNumber ino : lower.InodesWithContent()) {
      VELAFS_TRY(CopyUp(*view, lower, upper, ino, go_on));
      if (!go_on()) return Stopped();
    }
    if (upper.IsOnDisk()) VELAFS_TRY(upper.SyncNames());
    VELAFS_ASSIGN(const uint64_t lower_bytes, lower.AllocatedBytes({}));
    VELAFS_TRY(CommitMerge(merge, lower));
    return lower_bytes;
  };
  Result<uint64_t> merged = run();
  if (merged.ok()) {
    VELAFS_TRY(RemoveDoomed());
    return merged;
  }
  VELAFS_TRY(GiveUp(merge));
  if (merged.status().code() == Code::kRefused || !go_on()) return uint64_t{0};
  MutexLock lock(upkeep_lock_);
  // Where the disk is full it may work later; of what is damaged nobody needs to hear again.
  if (!os::IsOutOfSpace(merged.status())) unmergeable_.insert(merge.lower);
  return std::move(merged).status().WithContext("cannot merge layer " +
                                                std::to_string(merge.lower.value));
}

// The upper layer is settled again if all it has is on disk; so is what was copied to it.
Status Volume::Impl::GiveUp(const Merge& merge) {
  VELAFS_ASSIGN(const auto upper, GetLayer(merge.upper, true));
  Status synced = upper->SyncDirty(std::numeric_limits<TimeNs>::max());
  if (synced.ok() && upper->IsOnDisk()) synced = upper->SyncNames();
  return RemoveLayers([&](catalog::Writer& writer) -> Result<std::vector<LayerId>> {
           if (synced.ok()) VELAFS_TRY(writer.SetLayerSettled(merge.upper, true));
           return writer.RemoveUnusedLayers(merge.pin);
         })
      .status();
}

Status Volume::Impl::CopyUp(Branch& view, Layer& lower, Layer& upper, InodeNumber ino,
                            const std::function<bool()>& go_on) {
  const Result<Attributes> seen = view.Get(ino);
  if (seen.status().error_number() == ESTALE) return {};  // gone, as the upper layer has it
  VELAFS_TRY(seen.status());
  VELAFS_ASSIGN(const auto from, lower.ContentOf(ino, false));
  if (!from) return {};  // gone a moment ago
  VELAFS_ASSIGN(auto to, upper.ContentOf(ino, true));
  const uint64_t inherited = to ? to->inherited_bytes() : seen->size_bytes;
  if (to && inherited == 0) return {};  // it has all
  if (!to || !to->page_file()) {
    VELAFS_ASSIGN(const auto made, upper.Create(ino, seen->size_bytes, inherited));
    VELAFS_TRY(made->SetTimes(seen->atime, seen->mtime));
    to.emplace(upper.id(), to ? to->sealed() : nullptr, made);
  }
  Copier copier(view, *from, *to->page_file(), *seen, go_on);
  const PageNumber end = (inherited + kPageBytes - 1) / kPageBytes;
  for (PageNumber page = 0; page < end;) {
    if (!go_on()) return Stopped();
    VELAFS_ASSIGN(const auto above, to->RunAt(page, std::min(end - page, kPagesPerLook)));
    VELAFS_ASSIGN(const auto below, from->RunAt(page, above.pages));
    if (!above.held && below.held) VELAFS_TRY(copier.Copy(page, below.pages));
    page += below.pages;
  }
  // The page in which the lower layer ends what it inherits has zeros from there on, though that
  // layer may not hold it.
  const uint64_t cut = from->inherited_bytes();
  if (cut % kPageBytes != 0 && cut < inherited) {
    VELAFS_ASSIGN(const auto above, to->RunAt(cut / kPageBytes, 1));
    if (!above.held) VELAFS_TRY(copier.CopyData(cut / kPageBytes, 1));
  }
  return copier.Finish();
}

// From here on the upper layer says all, and the lower one is in nobody's chain.
Status Volume::Impl::CommitMerge(const Merge& merge, const Layer& lower) {
  const std::set<InodeNumber> moved = lower.InodesWithContent();
  std::vector<LayerId> gone;
  VELAFS_ASSIGN(const auto commit, parts_.catalog.Write([&](catalog::Writer& writer) -> Status {
    VELAFS_TRY(writer.MergeLayers(merge.lower, merge.upper));
    ++generation_;
    // What stood on the upper one may have gone meanwhile.
    VELAFS_ASSIGN(gone, writer.RemoveUnusedLayers(merge.pin));
    return {};
  }));
  VELAFS_TRY(parts_.catalog.MakeDurable(commit));
  const std::vector<InodeNumber> files(moved.begin(), moved.end());
  for (const auto& branch : OpenBranches()) VELAFS_TRY(branch->FollowMove(merge.lower, files));
  gone.push_back(merge.lower);
  for (const LayerId id : gone) {
    VELAFS_ASSIGN(auto layer, GetLayer(id, true));
    MutexLock lock(upkeep_lock_);
    doomed_.push_back(std::move(layer));
  }
  return {};
}

Status Volume::Impl::RemoveDoomed() {
  std::vector<LayerId> ids;
  {
    MutexLock lock(upkeep_lock_);
    std::erase_if(doomed_, [&ids](const std::shared_ptr<Layer>& layer) {
      if (layer.use_count() > 1) return false;
      ids.push_back(layer->id());
      return true;
    });
  }
  if (ids.empty()) return {};
  return RemoveLayers([&](catalog::Writer& writer) -> Result<std::vector<LayerId>> {
           for (const LayerId id : ids) {
             // One that had sealed content has stayed in the catalog.
             VELAFS_ASSIGN(const auto row, writer.FindLayer(id));
             if (row) VELAFS_TRY(writer.RemoveLayer(id));
           }
           return ids;
         })
      .status();
}

}  // namespace velafs::layer
