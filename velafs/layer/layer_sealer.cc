// Everything that can be seen stays as it is at every moment, whatever is cut off where. The chunks
// are durable before the one transaction that has the layer's content in them; page files go after
// it, once nobody reads them.
#include "velafs/layer/layer_sealer.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <optional>
#include <utility>

#include "velafs/layer/branch.h"
#include "velafs/layer/file_sealer.h"
#include "velafs/layer/layer_pin.h"
#include "velafs/layer/layer_tree.h"
#include "velafs/layer/volume.h"

namespace velafs::layer {

LayerSealer::LayerSealer(Volume& volume, std::unique_ptr<LayerPin> pin)
    : volume_(volume), pin_(std::move(pin)) {}

LayerSealer::~LayerSealer() = default;

LayerId LayerSealer::layer() const { return pin_->layer(); }
LayerId LayerSealer::draft() const { return pin_->id(); }

Result<std::unique_ptr<LayerSealer>> LayerSealer::Start(Volume& volume, TimeNs frozen_before) {
  std::set<LayerId> left_out = volume.LayersInFlux();
  left_out.merge(volume.failed_jobs().sealing.All());
  catalog::Catalog& catalog = volume.parts().catalog;
  VELAFS_ASSIGN(const LayerId layer, catalog.Read([&](catalog::Reader& reader) -> Result<LayerId> {
    LayerTree tree;
    VELAFS_TRY(tree.Load(reader));
    const catalog::LayerRow* const row = tree.FindUnsealed(frozen_before, left_out);
    return row == nullptr ? LayerId() : row->id;
  }));
  if (!layer) return std::unique_ptr<LayerSealer>();
  VELAFS_ASSIGN(auto pin, LayerPin::Make(volume, [&](catalog::Reader&) { return Result(layer); }));
  VELAFS_TRY(catalog.MakeDurable(catalog.LastCommit()));
  std::unique_ptr<LayerSealer> sealer(new LayerSealer(volume, std::move(pin)));
  auto view = sealer->pin_->OpenState();
  if (!view.ok()) {
    VELAFS_TRY(sealer->Release(view.status()));
    return std::move(view).status();
  }
  sealer->view_ = *std::move(view);
  return sealer;
}

Status LayerSealer::SealPart(SealSink& sink, uint64_t limit_bytes,
                             const std::function<bool()>& go_on) {
  bool is_rest = false;
  VELAFS_ASSIGN(auto rows, StoreFiles(sink, limit_bytes, go_on, &is_rest));
  VELAFS_TRY(sink.Finish());
  return Commit(sink, std::move(rows), is_rest);
}

Result<std::vector<catalog::InodeRow>> LayerSealer::StoreFiles(SealSink& sink, uint64_t limit_bytes,
                                                               const std::function<bool()>& go_on,
                                                               bool* is_rest) {
  Layer& layer = *view_->Layers().front();
  std::set<InodeNumber> done = gone_files_;
  for (const catalog::InodeRow& row : committed_) done.insert(row.ino);
  std::vector<catalog::InodeRow> rows;
  uint64_t stored_bytes = 0;
  for (const Layer::PageFileName& file : layer.PageFiles()) {
    if (done.contains(file.ino)) continue;
    if (stored_bytes >= limit_bytes) return rows;
    Result<catalog::InodeRow> row = view_->RowOf(file.ino);
    if (row.status().error_number() == ESTALE) {
      gone_files_.insert(file.ino);
      continue;
    }
    VELAFS_TRY(row.status());
    VELAFS_ASSIGN(auto content, layer.ContentOf(file.ino, !row->born_here));
    if (!content) continue;
    row->inherited_bytes = content->inherited_bytes();
    FileSealer sealer(*std::move(content), *row, sink);
    VELAFS_TRY(sealer.Seal(go_on));
    stored_bytes += sealer.stored_bytes();
    rows.push_back(*std::move(row));
  }
  *is_rest = true;
  return rows;
}

Status LayerSealer::Commit(SealSink& sink, std::vector<catalog::InodeRow> rows, bool is_rest) {
  uint64_t seals = 0;
  const auto commit = [&](catalog::Writer& writer) -> Status {
    VELAFS_TRY(sink.Publish(writer, layer()));
    VELAFS_TRY(writer.MoveManifests(draft(), layer()));
    for (const catalog::InodeRow& row : rows) VELAFS_TRY(writer.PutInode(layer(), row));
    volume_.NoteMove();
    VELAFS_ASSIGN(seals, writer.CountSeal(layer()));
    VELAFS_TRY(writer.SetLayerAllocatedBytes(layer(), std::nullopt));
    return is_rest ? writer.SetLayerState(layer(), catalog::LayerState::kSealed) : Status();
  };
  VELAFS_ASSIGN(last_commit_, volume_.parts().catalog.Write(commit));
  seals_ = seals;  // not before it is committed: the layer's mark must never be ahead
  is_sealed_ = is_rest;
  std::ranges::move(rows, std::back_inserter(committed_));
  return {};
}

Result<uint64_t> LayerSealer::End(Status outcome, const std::function<Status()>& before_removal) {
  Result<uint64_t> freed = uint64_t{0};
  if (Status before = committed_.empty() ? Status() : before_removal(); before.ok()) {
    freed = RemovePageFiles();
    if (outcome.ok()) outcome = freed.status();
  } else if (outcome.ok()) {
    outcome = std::move(before);
  }
  view_.reset();
  Status released = Release(outcome);
  if (outcome.ok()) outcome = std::move(released);
  if (!outcome.ok()) return outcome;
  return freed;
}

Result<uint64_t> LayerSealer::RemovePageFiles() {
  VELAFS_TRY(volume_.parts().catalog.MakeDurable(last_commit_));
  const std::shared_ptr<Layer> layer = view_->Layers().front();
  for (const InodeNumber ino : gone_files_) VELAFS_TRY(layer->Discard(ino));
  if (committed_.empty()) return uint64_t{0};
  VELAFS_TRY(layer->MarkSealed(seals_));
  std::vector<catalog::Reader::SealedInode> sealed;
  std::vector<InodeNumber> files;
  for (const catalog::InodeRow& row : committed_) {
    sealed.push_back({row.ino, row.inherited_bytes.value_or(0)});
    files.push_back(row.ino);
  }
  for (const auto& [ino, open] : layer->ForgetPageFiles(sealed)) {
    volume_.removals().AddSealedFile(layer, ino, open);
  }
  VELAFS_TRY(view_->FollowMove(layer->id(), files));
  VELAFS_TRY(volume_.FollowMove(layer->id(), files));
  return volume_.removals().RemoveSealedFiles();
}

Status LayerSealer::Release(const Status& outcome) {
  if (!outcome.ok()) volume_.failed_jobs().sealing.Add(layer(), outcome);
  return pin_->Release();
}

}  // namespace velafs::layer
