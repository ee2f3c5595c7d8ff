// Seals frozen layers: what they hold becomes chunks, and shares what is stored already.
#include <chrono>
#include <thread>

#include "velafs/store/catalog_copies.h"
#include "velafs/store/chunk_sink.h"
#include "velafs/store/recovery.h"
#include "velafs/store/store.h"

namespace velafs::store {
namespace {

using layer::Volume;

// What goes into one transaction of the catalog, and holds off imports meanwhile.
constexpr uint64_t kBytesAtOnce = 256ull << 20;
// The longest it works, at a gentle pace, before it leaves the disk to others for as long.
constexpr auto kTurn = std::chrono::milliseconds(5);

Status SealingStopped() { return Refused("sealing was stopped"); }

class Sink : public Volume::SealSink {
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

 private:
  ChunkSink& chunks_;
};

}  // namespace

Result<std::optional<SealResult>> Store::SealLayer(TimeNs frozen_before, Pace pace,
                                                   const std::function<bool()>& go_on) {
  {
    // An import may take as long as somebody takes to send it: layers are merged meanwhile.
    ReaderLock verbs(verbs_mutex_);
    if (pace == Pace::kGentle && !importing_.empty()) return std::optional<SealResult>();
  }
  const auto turn = merge_turn_.WaitWhile(go_on);
  if (!turn) return SealingStopped();
  std::optional<Volume::Seal> seal;
  {
    WriterLock verbs(verbs_mutex_);
    VELAFS_ASSIGN(seal, volume_->BeginSeal(frozen_before));
  }
  if (!seal) return std::optional<SealResult>();
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
  while (outcome.ok() && !seal->is_all) outcome = SealSome(*seal, go_on_at_pace, &result);
  // A catalog that is lost must not take along what only it knows where to find.
  Status copied = seal->committed.empty() ? Status() : MakeCatalogCopy(storage_, paths_);
  if (copied.ok()) {
    const Result<uint64_t> freed = volume_->GiveBack(*seal);
    if (freed.ok()) result.bytes_freed = *freed;
    if (outcome.ok()) outcome = freed.status();
  } else if (outcome.ok()) {
    outcome = std::move(copied);
  }
  seal->view.reset();
  Status ended = volume_->EndSeal(*seal, outcome);
  if (outcome.ok()) outcome = std::move(ended);
  if (!outcome.ok()) {
    return std::move(outcome).WithContext("cannot seal layer " + std::to_string(seal->layer.value));
  }
  return std::optional(result);
}

Status Store::SealSome(Volume::Seal& seal, const std::function<bool()>& go_on, SealResult* result) {
  VELAFS_ASSIGN(const chunk::Compression compression,
                chunk::ParseCompression(policies_->Get("compression", nullptr)));
  const auto turn = import_turn_.WaitWhile(go_on);
  if (!turn) return SealingStopped();
  VELAFS_ASSIGN(std::set<PackId> published, PublishedPacks(*catalog_));
  ChunkSink chunks(storage_, *catalog_, paths_.Packs(), seal.pin, std::move(published),
                   compression);
  const auto run = [&]() -> Status {
    Sink sink(chunks);
    VELAFS_ASSIGN(auto rows, volume_->SealFiles(seal, sink, kBytesAtOnce, go_on));
    VELAFS_TRY(chunks.Finish());
    // Before the transaction: the sink has a lock of its own, which comes before the catalog's.
    const std::vector<PackId> new_packs = chunks.packs();
    const uint64_t bytes_stored = chunks.counts().bytes_stored;
    return volume_->CommitSeal(seal, std::move(rows), [&](catalog::Writer& writer) -> Status {
      for (const PackId pack : new_packs) VELAFS_TRY(writer.PublishPack(pack));
      VELAFS_ASSIGN(const catalog::LayerRow row, writer.Layer(seal.layer));
      return writer.SetLayerStoredBytes(seal.layer, row.stored_bytes + bytes_stored);
    });
  };
  Status done = run();
  if (done.ok()) {
    result->bytes_stored += chunks.counts().bytes_stored;
    result->chunks_new += chunks.counts().chunks_new;
    result->chunks_shared += chunks.counts().chunks_shared;
    return done;
  }
  seal.is_all = false;
  // What this leaves when it fails too is removed when the store is next opened.
  (void)RemoveImport(storage_, *catalog_, *packs_, paths_.Packs(), LayerId(), chunks.packs());
  return done;
}

Result<SealResult> Store::Seal(const Caller& caller, std::chrono::seconds older_than,
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
