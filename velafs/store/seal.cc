// Seals frozen layers: what they hold becomes chunks, and shares what is stored already.
#include <chrono>
#include <thread>

#include "velafs/chunk/codec.h"
#include "velafs/chunk/packs.h"
#include "velafs/layer/layer_sealer.h"
#include "velafs/layer/volume.h"
#include "velafs/store/catalog_copies.h"
#include "velafs/store/chunk_sink.h"
#include "velafs/store/context.h"
#include "velafs/store/govern/policies.h"
#include "velafs/store/recovery.h"
#include "velafs/store/upkeep_verbs.h"

namespace velafs::store {
namespace {

// What goes into one transaction of the catalog, and holds off imports meanwhile.
constexpr uint64_t kBytesAtOnce = 256ull << 20;

// The longest it works, at a gentle pace, before it leaves the disk to others for as long.
constexpr auto kTurn = std::chrono::milliseconds(5);

Status SealingStopped() { return Refused("sealing was stopped"); }

class Sink : public layer::SealSink {
 public:
  explicit Sink(ChunkSink& chunks) : chunks_(chunks) {}
  Result<ChunkId> Store(std::span<const std::byte> content) override {
    std::vector<ChunkId> ids;
    VELAFS_TRY(chunks_.Store(content, &ids));
    return ids.at(0);
  }
  Status PutManifest(InodeNumber ino, uint64_t part, catalog::ManifestPartRow row) override {
    return chunks_.PutManifest(ino, part, std::move(row));
  }
  Status Finish() override {
    VELAFS_TRY(chunks_.Finish());
    // Before the transaction: the chunk sink has a lock of its own, which comes before the
    // catalog's.
    new_packs_ = chunks_.packs();
    bytes_stored_ = chunks_.counts().bytes_stored;
    return {};
  }
  Status Publish(catalog::Writer& writer, LayerId layer) override {
    for (const PackId pack : new_packs_) VELAFS_TRY(writer.PublishPack(pack));
    VELAFS_ASSIGN(const catalog::LayerRow row, writer.Layer(layer));
    return writer.SetLayerStoredBytes(layer, row.stored_bytes + bytes_stored_);
  }

 private:
  ChunkSink& chunks_;
  std::vector<PackId> new_packs_;
  uint64_t bytes_stored_ = 0;
};

Status SealSome(StoreContext& context, layer::LayerSealer& sealer,
                const std::function<bool()>& go_on, SealResult* result) {
  VELAFS_ASSIGN(const chunk::Compression compression,
                chunk::ParseCompression(context.policies->Get("compression", nullptr)));
  const auto turn = context.import_turn.WaitWhile(go_on);
  if (!turn) return SealingStopped();
  VELAFS_ASSIGN(std::set<PackId> published, PublishedPacks(*context.catalog));
  ChunkSink chunks(context.storage, *context.catalog, context.paths.Packs(), sealer.draft(),
                   std::move(published), compression);
  Sink sink(chunks);
  Status done = sealer.SealPart(sink, kBytesAtOnce, go_on);
  if (done.ok()) {
    result->bytes_stored += chunks.counts().bytes_stored;
    result->chunks_new += chunks.counts().chunks_new;
    result->chunks_shared += chunks.counts().chunks_shared;
    return done;
  }
  // What this leaves when it fails too is removed when the store is next opened.
  (void)RemoveImport(context.storage, *context.catalog, *context.packs, context.paths.Packs(),
                     LayerId(), chunks.packs());
  return done;
}

}  // namespace

Result<std::optional<SealResult>> UpkeepVerbs::SealLayer(TimeNs frozen_before, Pace pace,
                                                         const std::function<bool()>& go_on) {
  {
    // An import may take as long as somebody takes to send it: layers are merged meanwhile.
    ReaderLock verbs(context_.verbs_mutex);
    if (pace == Pace::kGentle && !context_.importing.empty()) return std::optional<SealResult>();
  }
  const auto turn = context_.merge_turn.WaitWhile(go_on);
  if (!turn) return SealingStopped();
  std::unique_ptr<layer::LayerSealer> sealer;
  {
    WriterLock verbs(context_.verbs_mutex);
    VELAFS_ASSIGN(sealer, layer::LayerSealer::Start(*context_.volume, frozen_before));
  }
  if (!sealer) return std::optional<SealResult>();
  auto rested = std::chrono::steady_clock::now();
  const auto go_on_at_pace = [&] {
    const auto worked = std::chrono::steady_clock::now() - rested;
    if (pace == Pace::kGentle && worked > kTurn) {
      std::this_thread::sleep_for(worked);
      rested = std::chrono::steady_clock::now();
    }
    return go_on();
  };
  SealResult result;
  Status outcome;
  while (outcome.ok() && !sealer->is_sealed()) {
    outcome = SealSome(context_, *sealer, go_on_at_pace, &result);
  }
  // A catalog that is lost must not take along what only it knows where to find.
  const Result<uint64_t> freed = sealer->End(
      std::move(outcome), [this] { return MakeCatalogCopy(context_.storage, context_.paths); });
  if (!freed.ok()) {
    return freed.status().WithContext("cannot seal layer " + std::to_string(sealer->layer().value));
  }
  result.bytes_freed = *freed;
  return std::optional(result);
}

Result<SealResult> UpkeepVerbs::Seal(const Caller& caller, std::chrono::seconds older_than,
                                     const std::function<bool()>& go_on) {
  const std::string context = "cannot seal layers";
  if (!caller.IsAdmin()) return Refused(context + ": that is for admins");
  while (go_on()) {
    VELAFS_ASSIGN(const auto freed, MergeLayers(go_on));
    if (!freed) break;
  }
  SealResult total;
  const TimeNs before = NowNs() - std::chrono::nanoseconds(older_than).count();
  while (true) {
    VELAFS_ASSIGN(const auto one, SealLayer(before, Pace::kFull, go_on));
    if (!one) return total;
    ++total.layers;
    total.chunks_new += one->chunks_new;
    total.chunks_shared += one->chunks_shared;
    total.bytes_stored += one->bytes_stored;
    total.bytes_freed += one->bytes_freed;
  }
}

}  // namespace velafs::store
