#include "tests/layer/volume_fixture.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <vector>

#include "velafs/layer/layer_recovery.h"

namespace velafs::layer {

VolumeFixture::VolumeFixture(os::Storage& storage) : storage_(storage), is_scratch_(true) {
  char pattern[] = "/tmp/velafs-volume-XXXXXX";
  REQUIRE(mkdtemp(pattern) != nullptr);
  directory_ = pattern;
  MakeParts();
}

VolumeFixture::VolumeFixture(os::Storage& storage, std::string directory)
    : storage_(storage), directory_(std::move(directory)) {
  MakeParts();
}

VolumeFixture::~VolumeFixture() {
  CloseAll();
  if (is_scratch_) static_cast<void>(os::HostStorage().RemoveTree(directory_));
}

void VolumeFixture::MakeParts() {
  REQUIRE(storage_.MakeDirectory(directory_ + "/packs", 0700).ok());
  REQUIRE(storage_.MakeDirectory(directory_ + "/layers", 0700).ok());
  REQUIRE(catalog::Catalog::Create(CatalogPath(), CatalogStorage()).ok());
  OpenAll();
}

// A scratch directory's catalog is the host's, whatever happens to the rest.
os::Storage& VolumeFixture::CatalogStorage() { return is_scratch_ ? os::HostStorage() : storage_; }

void VolumeFixture::OpenAll() {
  const Status opened = TryOpenAll();
  REQUIRE_MESSAGE(opened.ok(), opened.message());
}

Status VolumeFixture::TryOpenAll() {
  VELAFS_ASSIGN(catalog_, catalog::Catalog::Open(CatalogPath(), CatalogStorage()));
  packs_ = std::make_unique<chunk::PackReader>(storage_, directory_ + "/packs");
  reserve_ = std::make_unique<os::SpaceReserve>(storage_, directory_ + "/reserve");
  volume_ = std::make_unique<Volume>(
      VolumeParts{storage_, *catalog_, *packs_, *reserve_, directory_ + "/layers"});
  VELAFS_TRY(ResetEphemerals());
  return RemoveOrphans(volume_->parts());
}

Status VolumeFixture::ResetEphemerals() {
  const auto reset = [](catalog::Writer& writer) -> Status {
    VELAFS_ASSIGN(const auto rows, writer.EphemeralBranches());
    for (catalog::BranchRow row : rows) {
      VELAFS_ASSIGN(const catalog::LayerRow head, writer.Layer(row.head));
      if (head.logical_bytes) continue;
      VELAFS_ASSIGN(const catalog::LayerRow below, writer.Layer(head.parent));
      VELAFS_ASSIGN(row.head, writer.AddLayer(below.id, catalog::LayerState::kHead));
      VELAFS_TRY(writer.SetLayerLogicalBytes(row.head, below.logical_bytes));
      VELAFS_ASSIGN(row.instance, writer.ReserveInstance());
      VELAFS_TRY(writer.UpdateBranch(row));
      VELAFS_TRY(writer.RemoveUnusedLayers(head.id).status());
    }
    return {};
  };
  VELAFS_ASSIGN(const auto committed, catalog_->Write(reset));
  return catalog_->MakeDurable(committed);
}

void VolumeFixture::CloseAll() {
  volume_.reset();
  packs_.reset();
  catalog_.reset();
}

void VolumeFixture::Reopen() {
  REQUIRE(volume_->SyncAll().ok());
  CloseAll();
  OpenAll();
}

void VolumeFixture::Crash() {
  CloseAll();  // without a sync: maps that are only in memory are lost
  OpenAll();
}

void VolumeFixture::MakeSource(const std::string& name,
                               const std::map<std::string, std::string>& files) {
  PackId pack;
  LayerId base;
  InodeNumber root;
  REQUIRE(catalog_
              ->Write([&](catalog::Writer& writer) -> Status {
                VELAFS_ASSIGN(pack, writer.AddPack());
                VELAFS_ASSIGN(base, writer.AddLayer(LayerId(), catalog::LayerState::kImporting));
                VELAFS_ASSIGN(root, writer.ReserveInodes(1 + files.size()));
                return {};
              })
              .ok());
  auto created = chunk::PackWriter::Create(storage_, directory_ + "/packs", pack);
  REQUIRE(created.ok());
  chunk::PackWriter& pack_writer = **created;

  const auto publish = [&](catalog::Writer& writer) -> Status {
    const auto inode = [](InodeNumber ino, uint32_t mode, uint64_t size) {
      return catalog::InodeRow{.ino = ino,
                               .mode = mode,
                               .nlink = S_ISDIR(mode) ? 2u : 1u,
                               .size_bytes = size,
                               .born_here = true};
    };
    VELAFS_TRY(writer.PutInode(base, inode(root, S_IFDIR | 0700, 0)));
    uint64_t logical_bytes = 0;
    InodeNumber ino = root;
    for (const auto& [file, content] : files) {
      ++ino.value;
      logical_bytes += content.size();
      VELAFS_TRY(writer.PutInode(base, inode(ino, S_IFREG | 0600, content.size())));
      VELAFS_TRY(writer.PutName(base, {root, file, ino}));
      std::vector<ChunkId> chunks;
      for (size_t at = 0; at < content.size(); at += kChunkBytes) {
        const auto bytes =
            BytesOf(content).subspan(at, std::min<size_t>(kChunkBytes, content.size() - at));
        if (chunk::IsZeros(bytes)) {
          chunks.emplace_back();
          continue;
        }
        chunks.push_back(chunk::HashChunk(bytes));
        VELAFS_ASSIGN(const auto known, writer.Chunk(chunks.back()));
        if (known) continue;
        const ChunkLocation location = pack_writer.Reserve(static_cast<uint32_t>(bytes.size()));
        VELAFS_TRY(pack_writer.Write(chunks.back(), location, bytes));
        VELAFS_TRY(writer.PutChunk(chunks.back(), location));
      }
      VELAFS_TRY(writer.PutManifestPart(base, ino, 0, {chunks, {}}));
    }
    VELAFS_TRY(pack_writer.Finish());
    VELAFS_TRY(writer.PublishPack(pack));
    VELAFS_TRY(writer.SetLayerState(base, catalog::LayerState::kSealed));
    VELAFS_TRY(writer.SetLayerLogicalBytes(base, logical_bytes));
    catalog::BranchRow branch;
    branch.name = name;
    branch.root = root;
    branch.owner = "test";
    VELAFS_ASSIGN(branch.head, writer.AddLayer(base, catalog::LayerState::kHead));
    VELAFS_TRY(writer.SetLayerLogicalBytes(branch.head, logical_bytes));
    branch.first_layer = branch.head;
    VELAFS_ASSIGN(branch.instance, writer.ReserveInstance());
    return writer.AddBranch(branch).status();
  };
  REQUIRE(catalog_->Write(publish).ok());
}

Status VolumeFixture::Clone(const std::string& source, const std::string& name, bool is_ephemeral) {
  return volume_->Freeze(source, [&](catalog::Writer& writer, LayerId frozen) -> Status {
    VELAFS_ASSIGN(auto branch, writer.Branch(source));
    VELAFS_ASSIGN(const catalog::LayerRow below, writer.Layer(frozen));
    VELAFS_ASSIGN(branch->head, writer.AddLayer(frozen, catalog::LayerState::kHead));
    VELAFS_TRY(writer.SetLayerLogicalBytes(branch->head, below.logical_bytes));
    VELAFS_ASSIGN(branch->instance, writer.ReserveInstance());
    branch->name = name;
    branch->first_layer = branch->head;
    branch->is_ephemeral = is_ephemeral;
    return writer.AddBranch(*branch).status();
  });
}

namespace {

// Into a pack of its own, which is published with the rest.
class PackSink : public SealSink {
 public:
  PackSink(os::Storage& storage, catalog::Catalog& catalog, std::string directory, LayerId draft)
      : storage_(storage), catalog_(catalog), directory_(std::move(directory)), draft_(draft) {}

  Result<ChunkId> Store(std::span<const std::byte> content) override {
    if (chunk::IsZeros(content)) return ChunkId();
    const ChunkId id = chunk::HashChunk(content);
    bool is_known = new_chunks_.contains(id);
    VELAFS_TRY(catalog_.Read([&](catalog::Reader& reader) -> Status {
      VELAFS_ASSIGN(const auto known, reader.Chunk(id));
      is_known = is_known || known;
      return {};
    }));
    if (is_known) return id;
    if (!writer_) VELAFS_TRY(MakePack());
    const ChunkLocation location = writer_->Reserve(static_cast<uint32_t>(content.size()));
    VELAFS_TRY(writer_->Write(id, location, content));
    new_chunks_[id] = location;
    return id;
  }
  Status PutManifest(InodeNumber ino, uint64_t part, catalog::ManifestPartRow row) override {
    manifests_.push_back({ino, part, std::move(row)});
    return {};
  }
  Status Finish() override { return writer_ ? writer_->Finish() : Status(); }
  Status Publish(catalog::Writer& writer, LayerId) override {
    if (pack_) VELAFS_TRY(writer.PublishPack(pack_));
    for (const auto& [id, location] : new_chunks_) VELAFS_TRY(writer.PutChunk(id, location));
    for (const Manifest& manifest : manifests_) {
      VELAFS_TRY(writer.PutManifestPart(draft_, manifest.ino, manifest.part, manifest.row));
    }
    return {};
  }

 private:
  struct Manifest {
    InodeNumber ino;
    uint64_t part;
    catalog::ManifestPartRow row;
  };
  Status MakePack() {
    VELAFS_ASSIGN(const auto added, catalog_.Write([&](catalog::Writer& writer) -> Status {
      VELAFS_ASSIGN(pack_, writer.AddPack());
      return {};
    }));
    VELAFS_TRY(catalog_.MakeDurable(added));
    VELAFS_ASSIGN(writer_, chunk::PackWriter::Create(storage_, directory_, pack_));
    return {};
  }

  os::Storage& storage_;
  catalog::Catalog& catalog_;
  const std::string directory_;
  const LayerId draft_;
  PackId pack_;
  std::unique_ptr<chunk::PackWriter> writer_;
  std::map<ChunkId, ChunkLocation> new_chunks_;
  std::vector<Manifest> manifests_;
};

}  // namespace

Status VolumeFixture::CommitAll(LayerSealer& sealer, uint64_t limit_bytes,
                                const std::function<bool()>& go_on) {
  while (!sealer.is_sealed()) {
    PackSink sink(storage_, *catalog_, directory_ + "/packs", sealer.draft());
    VELAFS_TRY(sealer.SealPart(sink, limit_bytes, go_on));
  }
  return {};
}

Status VolumeFixture::SealWithoutEnd() {
  VELAFS_ASSIGN(const auto sealer, LayerSealer::Start(*volume_, NowNs()));
  return sealer ? CommitAll(*sealer, UINT64_MAX, Always) : Failed("there is nothing to seal");
}

Result<bool> VolumeFixture::Merge(std::mutex& verbs_lock) {
  std::unique_lock lock(verbs_lock);
  VELAFS_ASSIGN(const auto merger, LayerMerger::Start(*volume_));
  lock.unlock();
  if (!merger) return false;
  VELAFS_TRY(merger->Run(Always).status());
  return true;
}

Result<bool> VolumeFixture::Seal(std::mutex& verbs_lock) {
  std::unique_lock lock(verbs_lock);
  VELAFS_ASSIGN(auto sealer, LayerSealer::Start(*volume_, NowNs()));
  lock.unlock();
  return Seal(std::move(sealer), UINT64_MAX, Always);
}

Result<bool> VolumeFixture::Merge(const std::function<bool()>& go_on) {
  VELAFS_ASSIGN(const auto merger, LayerMerger::Start(*volume_));
  if (!merger) return false;
  VELAFS_TRY(merger->Run(go_on).status());
  return true;
}

Result<bool> VolumeFixture::Seal(uint64_t limit_bytes, const std::function<bool()>& go_on) {
  VELAFS_ASSIGN(auto sealer, LayerSealer::Start(*volume_, NowNs()));
  return Seal(std::move(sealer), limit_bytes, go_on);
}

Result<bool> VolumeFixture::Seal(std::unique_ptr<LayerSealer> sealer, uint64_t limit_bytes,
                                 const std::function<bool()>& go_on) {
  if (!sealer) return false;
  Status done = CommitAll(*sealer, limit_bytes, go_on);
  VELAFS_TRY(sealer->End(std::move(done), [] { return Status(); }).status());
  return true;
}

std::shared_ptr<Branch> VolumeFixture::Open(const std::string& name) {
  auto branch = volume_->Open(name);
  REQUIRE_MESSAGE(branch.ok(), branch.status().message());
  return *branch;
}

std::string VolumeFixture::LayerDirectory(LayerId layer) const {
  return directory_ + "/layers/" + std::to_string(layer.value);
}

LayerId VolumeFixture::HeadOf(const std::string& name) {
  LayerId head;
  REQUIRE(catalog_
              ->Read([&](catalog::Reader& reader) -> Status {
                VELAFS_ASSIGN(const auto row, reader.Branch(name));
                head = row->head;
                return {};
              })
              .ok());
  return head;
}

std::span<const std::byte> BytesOf(std::string_view text) { return std::as_bytes(std::span(text)); }

InodeNumber InodeOf(Branch& branch, std::string_view name) {
  const auto found = branch.Lookup(branch.root(), name);
  return found.ok() ? found->ino : InodeNumber();
}

std::string ContentOf(Branch& branch, std::string_view name) {
  const auto found = branch.Lookup(branch.root(), name);
  REQUIRE_MESSAGE(found.ok(), name);
  std::string content(found->size_bytes, '?');
  const auto got = branch.Read(found->ino, 0, std::as_writable_bytes(std::span(content)));
  REQUIRE(got.ok());
  REQUIRE(*got == content.size());
  return content;
}

InodeNumber MakeFile(Branch& branch, std::string_view name) {
  const auto made = branch.Make(branch.root(), name, {.mode = S_IFREG | 0600});
  REQUIRE(made.ok());
  return made->ino;
}

}  // namespace velafs::layer
