// Sealing a frozen layer: its pages become chunks.
//
// Everything that can be seen stays as it is at every moment, whatever is cut off where. The chunks
// are durable before the one transaction that has the layer's content in them; page files go after
// it, once nobody reads them.
#include <algorithm>
#include <cerrno>
#include <iterator>
#include <optional>

#include "velafs/layer/layer_tree.h"
#include "velafs/layer/volume_impl.h"

namespace velafs::layer {
namespace {

constexpr uint8_t kWholeChunk = 0xff;

// One file of the layer, into the sink.
class FileSealer {
 public:
  FileSealer(LayerContent content, const catalog::InodeRow& row, Volume::SealSink& sink)
      : content_(std::move(content)),
        ino_(row.ino),
        size_bytes_(row.size_bytes),
        inherits_(content_.inherited_bytes() > 0),
        sink_(sink) {}

  Status Seal(const std::function<bool()>& go_on) {
    for (uint64_t part = 0; part * catalog::kPartBytes < size_bytes_; ++part) {
      if (!go_on()) return Refused("sealing was stopped");
      const uint64_t begin = part * catalog::kPartBytes;
      const uint64_t end = std::min(size_bytes_, begin + catalog::kPartBytes);
      VELAFS_ASSIGN(std::optional<catalog::ManifestPartRow> row, WithoutData(begin, end));
      if (!row) {
        VELAFS_ASSIGN(row, SealPart(begin, end, go_on));
      }
      VELAFS_TRY(sink_.PutManifest(ino_, part, *std::move(row)));
    }
    return {};
  }
  uint64_t stored_bytes() const { return stored_bytes_; }

 private:
  // The row of a part of which the layer holds nothing, or all of it as one hole.
  Result<std::optional<catalog::ManifestPartRow>> WithoutData(uint64_t begin, uint64_t end) const {
    using Row = std::optional<catalog::ManifestPartRow>;
    const uint64_t pages = (end - begin + kPageBytes - 1) / kPageBytes;
    VELAFS_ASSIGN(const PageMap::Run run, content_.RunAt(begin / kPageBytes, pages));
    if (run.pages < pages) return Row();
    catalog::ManifestPartRow row;
    if (!run.held) return Row(std::move(row));
    VELAFS_ASSIGN(const PageFile::Extent extent, content_.ExtentAt(begin, end - begin));
    if (extent.is_data || extent.length_bytes < end - begin) return Row();
    if (inherits_) row.chunks.resize(1);  // an empty row says that the layer holds nothing
    return Row(std::move(row));
  }

  Result<catalog::ManifestPartRow> SealPart(uint64_t begin, uint64_t end,
                                            const std::function<bool()>& go_on) {
    catalog::ManifestPartRow row;
    for (uint64_t at = begin; at < end; at += kChunkBytes) {
      if (!go_on()) return Refused("sealing was stopped");
      VELAFS_ASSIGN(const SealedFile::Held held, SealChunk(at));
      row.chunks.push_back(held.chunk);
      row.pages.push_back(held.pages);
    }
    Shorten(&row);
    return row;
  }

  Result<SealedFile::Held> SealChunk(uint64_t begin) {
    const uint64_t end = std::min(size_bytes_, begin + kChunkBytes);
    const PageNumber first = begin / kPageBytes;
    const uint64_t pages = (end - begin + kPageBytes - 1) / kPageBytes;
    buffer_.clear();
    SealedFile::Held held;
    VELAFS_ASSIGN(held.pages, PagesIn(first, pages));
    if (held.pages == 0) return held;
    if (content_.sealed()) {
      VELAFS_ASSIGN(const SealedFile::Held before, content_.sealed()->HeldIn(begin / kChunkBytes));
      if (before.pages == held.pages) return before;
    }
    if (held.pages == kWholeChunk && !content_.sealed()) {
      VELAFS_ASSIGN(const auto extent, content_.ExtentAt(begin, end - begin));
      if (!extent.is_data && begin + extent.length_bytes >= end) return held;
    }
    for (uint64_t page = 0; page < pages; ++page) {
      if (((held.pages >> page) & 1) == 0) continue;
      const uint64_t offset = begin + page * kPageBytes;
      const size_t length = std::min(kPageBytes, end - offset);
      const size_t filled = buffer_.size();
      buffer_.resize(filled + length);
      VELAFS_TRY(content_.Read(offset, std::span(buffer_).subspan(filled)));
    }
    stored_bytes_ += buffer_.size();
    VELAFS_ASSIGN(held.chunk, sink_.Store(buffer_));
    return held;
  }

  // All, when the layer holds as many as there are.
  Result<uint8_t> PagesIn(PageNumber first, uint64_t pages) const {
    unsigned held = 0;
    for (uint64_t page = 0; page < pages;) {
      VELAFS_ASSIGN(const PageMap::Run run, content_.RunAt(first + page, pages - page));
      if (run.held) held |= ((1u << run.pages) - 1) << page;
      page += run.pages;
    }
    return held == (1u << pages) - 1 ? kWholeChunk : static_cast<uint8_t>(held);
  }

  // As FORMAT.md has a part that holds nothing, or all, or nothing but zeros.
  void Shorten(catalog::ManifestPartRow* row) const {
    const auto all = [row](uint8_t pages) {
      return std::ranges::all_of(row->pages, [pages](uint8_t held) { return held == pages; });
    };
    const bool is_zeros = std::ranges::all_of(row->chunks, &ChunkId::IsZeros);
    if (is_zeros && all(inherits_ ? 0 : kWholeChunk)) {
      *row = {};
    } else if (all(kWholeChunk)) {
      row->pages.clear();
    }
  }

  const LayerContent content_;
  const InodeNumber ino_;
  const uint64_t size_bytes_;
  const bool inherits_;
  Volume::SealSink& sink_;
  std::vector<std::byte> buffer_;
  uint64_t stored_bytes_ = 0;
};

}  // namespace

std::set<LayerId> Volume::Impl::LayersInFlux() {
  std::set<LayerId> layers;
  for (const auto& branch : OpenBranches()) {
    for (const LayerId layer : branch->GoneLayers()) layers.insert(layer);
  }
  MutexLock lock(upkeep_lock_);
  for (const RetiredFile& file : retired_) layers.insert(file.layer->id());
  return layers;
}

Result<std::optional<Volume::Seal>> Volume::Impl::BeginSeal(TimeNs frozen_before) {
  std::set<LayerId> left_out = LayersInFlux();
  {
    MutexLock lock(upkeep_lock_);
    left_out.insert(unsealable_.begin(), unsealable_.end());
  }
  Seal seal;
  InodeNumber root;
  VELAFS_TRY(parts_.catalog.Read([&](catalog::Reader& reader) -> Status {
    LayerTree tree;
    VELAFS_TRY(tree.Load(reader));
    const catalog::LayerRow* const found = tree.FindUnsealed(frozen_before, left_out);
    if (found == nullptr) return {};
    seal.layer = found->id;
    VELAFS_ASSIGN(const auto chain, reader.Chain(seal.layer));
    VELAFS_ASSIGN(root, reader.FirstInode(chain.back().id));
    return {};
  }));
  if (!seal.layer) return std::optional<Seal>();
  VELAFS_ASSIGN(const auto commit, parts_.catalog.Write([&](catalog::Writer& writer) -> Status {
    VELAFS_ASSIGN(seal.pin, writer.AddLayer(seal.layer, catalog::LayerState::kImporting));
    return {};
  }));
  VELAFS_TRY(parts_.catalog.MakeDurable(commit));
  auto view = OpenState(seal.layer, root, "a frozen layer");
  if (!view.ok()) {
    VELAFS_TRY(EndSeal(seal, view.status()));
    return std::move(view).status();
  }
  seal.view = *std::move(view);
  return std::optional(std::move(seal));
}

Result<std::vector<catalog::InodeRow>> Volume::Impl::SealFiles(Seal& seal, SealSink& sink,
                                                               uint64_t limit_bytes,
                                                               const std::function<bool()>& go_on) {
  Layer& layer = *seal.view->Layers().front();
  std::set<InodeNumber> done;
  for (const catalog::InodeRow& row : seal.committed) done.insert(row.ino);
  std::vector<catalog::InodeRow> rows;
  uint64_t stored_bytes = 0;
  for (const Layer::PageFileName& file : layer.PageFiles()) {
    if (done.contains(file.ino)) continue;
    if (stored_bytes >= limit_bytes) return rows;
    Result<catalog::InodeRow> row = seal.view->RowOf(file.ino);
    if (row.status().error_number() == ESTALE) {
      seal.gone.push_back(file.ino);
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
  seal.is_all = true;
  return rows;
}

Status Volume::Impl::CommitSeal(Seal& seal, std::vector<catalog::InodeRow> rows,
                                const std::function<Status(catalog::Writer&)>& also) {
  uint64_t seals = 0;
  VELAFS_ASSIGN(seal.last_commit, parts_.catalog.Write([&](catalog::Writer& writer) -> Status {
    VELAFS_TRY(also(writer));
    VELAFS_TRY(writer.MoveManifests(seal.pin, seal.layer));
    for (const catalog::InodeRow& row : rows) VELAFS_TRY(writer.PutInode(seal.layer, row));
    ++generation_;
    VELAFS_ASSIGN(seals, writer.CountSeal(seal.layer));
    VELAFS_TRY(writer.SetLayerAllocatedBytes(seal.layer, std::nullopt));
    if (!seal.is_all) return {};
    return writer.SetLayerState(seal.layer, catalog::LayerState::kSealed);
  }));
  seal.seals = seals;  // not before it is committed: the layer's mark must never be ahead
  std::ranges::move(rows, std::back_inserter(seal.committed));
  return {};
}

Result<uint64_t> Volume::Impl::GiveBack(const Seal& seal) {
  VELAFS_TRY(parts_.catalog.MakeDurable(seal.last_commit));
  const std::shared_ptr<Layer> layer = seal.view->Layers().front();
  std::vector<catalog::Reader::SealedInode> sealed;
  for (const catalog::InodeRow& row : seal.committed) {
    sealed.push_back({row.ino, row.inherited_bytes.value_or(0)});
  }
  for (const InodeNumber ino : seal.gone) VELAFS_TRY(layer->Discard(ino));
  if (sealed.empty()) return uint64_t{0};
  VELAFS_TRY(layer->MarkSealed(seal.seals));
  for (const auto& [ino, open] : layer->Retire(sealed)) {
    MutexLock lock(upkeep_lock_);
    retired_.push_back({layer, ino, open});
  }
  std::vector<InodeNumber> files;
  for (const catalog::InodeRow& row : seal.committed) files.push_back(row.ino);
  VELAFS_TRY(seal.view->FollowMove(layer->id(), files));
  for (const auto& branch : OpenBranches()) VELAFS_TRY(branch->FollowMove(layer->id(), files));
  return RemoveRetired();
}

Result<uint64_t> Volume::Impl::RemoveRetired() {
  std::vector<RetiredFile> unused;
  {
    MutexLock lock(upkeep_lock_);
    std::erase_if(retired_, [&unused](RetiredFile& file) {
      if (!file.open.expired()) return false;
      unused.push_back(std::move(file));
      return true;
    });
  }
  uint64_t bytes = 0;
  for (const RetiredFile& file : unused) {
    VELAFS_ASSIGN(const uint64_t removed, file.layer->RemoveRetired(file.ino));
    bytes += removed;
  }
  return bytes;
}

Status Volume::Impl::EndSeal(const Seal& seal, const Status& outcome) {
  if (!outcome.ok() && outcome.code() != Code::kRefused && !os::IsOutOfSpace(outcome)) {
    MutexLock lock(upkeep_lock_);
    unsealable_.insert(seal.layer);
  }
  return RemoveLayers([&](catalog::Writer& writer) { return writer.RemoveUnusedLayers(seal.pin); })
      .status();
}

}  // namespace velafs::layer
