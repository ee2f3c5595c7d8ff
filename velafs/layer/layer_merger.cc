// Everything that can be seen stays as it is at every moment, whatever is cut off where: pages that
// the upper layer shows from the lower one are copied into it, which shows them as they were; only
// when all of that is durable does one transaction take the lower layer out of the chain. Meanwhile
// the upper layer is not settled (DURABILITY.md, 10): a crash may leave page files in it whose maps
// were never written, and those are not there.
#include "velafs/layer/layer_merger.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "velafs/layer/branch.h"
#include "velafs/layer/layer_pin.h"
#include "velafs/layer/layer_tree.h"
#include "velafs/layer/volume.h"

namespace velafs::layer {
namespace {

constexpr uint64_t kPagesAtOnce = 128;
constexpr uint64_t kPagesPerSync = 1024;
constexpr uint64_t kPagesPerLook = 128 * 1024;  // what is held of them is looked at together

Status MergeStopped() { return Refused("merging of layers was stopped"); }

// Copies pages to the upper layer's file. Syncs it now and then, so that a sync of the whole branch
// never waits long.
class Copier {
 public:
  Copier(Branch& view, const LayerContent& from, PageFile& to, const Attributes& seen,
         const std::function<bool()>& go_on)
      : view_(view), from_(from), to_(to), seen_(seen), go_on_(go_on) {}

  // Pages that `from` holds, and `to` does not yet.
  Status Copy(PageNumber page, uint64_t pages) {
    for (const PageNumber end = page + pages; page < end;) {
      if (!go_on_()) return MergeStopped();
      VELAFS_ASSIGN(const PageFile::Extent extent,
                    from_.ExtentAt({page.OffsetBytes(), (end - page) * kPageBytes}));
      const uint64_t whole = std::max<uint64_t>(extent.length_bytes / kPageBytes, 1);
      const bool is_hole = !extent.is_data && extent.length_bytes >= kPageBytes;
      VELAFS_TRY(is_hole ? to_.PunchPages(page, whole) : CopyRun(page, whole));
      page += whole;
    }
    return {};
  }
  // All of these pages at once.
  Status CopyData(PageNumber page, uint64_t pages) {
    const auto began = std::chrono::steady_clock::now();
    buffer_.resize(pages * kPageBytes);
    VELAFS_ASSIGN(const size_t got, view_.Read(seen_.ino, page.OffsetBytes(), buffer_));
    VELAFS_TRY(to_.Write(page.OffsetBytes(), std::span(buffer_).first(got)));
    to_.ClaimPages(page, pages);
    copied_ += pages;
    if (copied_ >= kPagesPerSync) {
      copied_ = 0;
      VELAFS_TRY(to_.Sync(os::SyncKind::kData));
    }
    // Throttle: sleep as long as the copy took.
    std::this_thread::sleep_for(std::chrono::steady_clock::now() - began);
    return {};
  }
  // Puts the times back, which writing has changed.
  Status Finish() {
    VELAFS_TRY(to_.SetTimes(seen_.atime, seen_.mtime));
    return to_.Sync(os::SyncKind::kFull);
  }

 private:
  Status CopyRun(PageNumber page, uint64_t pages) {
    for (const PageNumber end = page + pages; page < end;) {
      if (!go_on_()) return MergeStopped();
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

LayerMerger::LayerMerger(Volume& volume, LayerId lower, std::unique_ptr<LayerPin> upper)
    : volume_(volume), lower_(lower), upper_(std::move(upper)) {}

LayerMerger::~LayerMerger() = default;

Result<std::unique_ptr<LayerMerger>> LayerMerger::Start(Volume& volume) {
  std::set<LayerId> left_out = volume.failed_jobs().merging.All();
  const std::set<LayerId> in_flux = volume.LayersInFlux();
  LayerId lower;
  LayerId upper;
  VELAFS_TRY(volume.parts().catalog.Read([&](catalog::Reader& reader) -> Status {
    LayerTree tree;
    VELAFS_TRY(tree.Load(reader));
    auto pair = tree.FindMerge(left_out);
    while (pair && (in_flux.contains(pair->lower->id) || in_flux.contains(pair->upper->id))) {
      left_out.insert(pair->lower->id);
      pair = tree.FindMerge(left_out);
    }
    if (!pair) return {};
    lower = pair->lower->id;
    upper = pair->upper->id;
    return {};
  }));
  if (!lower) return std::unique_ptr<LayerMerger>();
  VELAFS_ASSIGN(auto pin, LayerPin::Make(volume, [&](catalog::Reader&) { return Result(upper); }));
  return std::unique_ptr<LayerMerger>(new LayerMerger(volume, lower, std::move(pin)));
}

Result<uint64_t> LayerMerger::Run(const std::function<bool()>& go_on) {
  Result<uint64_t> merged = Merge(go_on);
  if (merged.ok()) {
    VELAFS_TRY(volume_.RemoveUnusedLayers());
    return merged;
  }
  VELAFS_TRY(Abandon());
  if (merged.status().code() == Code::kRefused || !go_on()) return uint64_t{0};
  volume_.failed_jobs().merging.Add(lower_, merged.status());
  return std::move(merged).status().WithContext("cannot merge layer " +
                                                std::to_string(lower_.value));
}

Result<uint64_t> LayerMerger::Merge(const std::function<bool()>& go_on) {
  VELAFS_ASSIGN(const auto view, upper_->OpenState());
  // Once its layer is in memory, and settled there: nobody recovers it while it is copied to.
  const auto unsettle = [this](catalog::Writer& writer) -> Status {
    VELAFS_TRY(writer.SetLayerState(upper_->layer(), catalog::LayerState::kFrozen));
    return writer.SetLayerSettled(upper_->layer(), false);
  };
  VELAFS_ASSIGN(const auto unsettled, volume_.parts().catalog.Write(unsettle));
  VELAFS_TRY(volume_.parts().catalog.MakeDurable(unsettled));
  const std::vector<std::shared_ptr<Layer>> layers = view->Layers();
  Layer& upper = *layers[0];
  Layer& lower = *layers[1];
  for (const InodeNumber ino : lower.InodesWithContent()) {
    VELAFS_TRY(CopyUp(*view, lower, upper, ino, go_on));
    if (!go_on()) return MergeStopped();
  }
  if (upper.IsOnDisk()) VELAFS_TRY(upper.SyncNames());
  VELAFS_ASSIGN(const uint64_t lower_bytes, lower.AllocatedBytes({}));
  VELAFS_TRY(Commit(lower));
  return lower_bytes;
}

// The upper layer is settled again if all it has is on disk; so is what was copied to it.
Status LayerMerger::Abandon() {
  VELAFS_ASSIGN(const auto upper, volume_.GetLayer(upper_->layer(), true));
  Status synced = upper->SyncDirty(std::numeric_limits<TimeNs>::max());
  if (synced.ok() && upper->IsOnDisk()) synced = upper->SyncNames();
  return upper_->Release([&](catalog::Writer& writer) {
    return synced.ok() ? writer.SetLayerSettled(upper_->layer(), true) : Status();
  });
}

Status LayerMerger::CopyUp(Branch& view, Layer& lower, Layer& upper, InodeNumber ino,
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
  const PageNumber end = PageNumber::From(inherited);
  for (PageNumber page; page < end;) {
    if (!go_on()) return MergeStopped();
    VELAFS_ASSIGN(const auto above, to->RunAt(page, std::min(end - page, kPagesPerLook)));
    VELAFS_ASSIGN(const auto below, from->RunAt(page, above.pages));
    if (!above.held && below.held) VELAFS_TRY(copier.Copy(page, below.pages));
    page += below.pages;
  }
  // The page in which the lower layer ends what it inherits has zeros from there on, though that
  // layer may not hold it.
  const uint64_t cut = from->inherited_bytes();
  if (cut % kPageBytes != 0 && cut < inherited) {
    const PageNumber page = PageNumber::At(cut);
    VELAFS_ASSIGN(const auto above, to->RunAt(page, 1));
    if (!above.held) VELAFS_TRY(copier.CopyData(page, 1));
  }
  return copier.Finish();
}

// From here on the upper layer says all, and the lower one is in nobody's chain.
Status LayerMerger::Commit(const Layer& lower) {
  const std::set<InodeNumber> moved = lower.InodesWithContent();
  std::vector<LayerId> gone;
  const auto merge = [&](catalog::Writer& writer) -> Status {
    VELAFS_TRY(writer.MergeLayers(lower_, upper_->layer()));
    volume_.NoteMove();
    // What stood on the upper one may have gone meanwhile.
    VELAFS_ASSIGN(gone, writer.RemoveUnusedLayers(upper_->id()));
    return {};
  };
  VELAFS_ASSIGN(const auto committed, volume_.parts().catalog.Write(merge));
  upper_->NoteReleased();
  VELAFS_TRY(volume_.parts().catalog.MakeDurable(committed));
  VELAFS_TRY(volume_.FollowMove(lower_, {moved.begin(), moved.end()}));
  gone.push_back(lower_);
  for (const LayerId id : gone) {
    VELAFS_ASSIGN(auto layer, volume_.GetLayer(id, true));
    volume_.removals().AddLayer(std::move(layer));
  }
  return {};
}

}  // namespace velafs::layer
