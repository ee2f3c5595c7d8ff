// What frozen layers hold becomes chunks, and nobody sees it.
#include <chrono>
#include <thread>

#include "tests/layer/merge_fixture.h"

namespace velafs::layer {
namespace {

struct SealFixture : MergeFixture {
  // How many layers were sealed.
  int SealAll(uint64_t limit_bytes = UINT64_MAX) {
    for (int seals = 0;; ++seals) {
      const auto sealed = Seal(limit_bytes);
      REQUIRE_MESSAGE(sealed.ok(), sealed.status().message());
      if (!*sealed) return seals;
    }
  }
  // Page files and maps on disk of all layers but heads.
  size_t FilesOnDisk() {
    size_t files = 0;
    const LayerId head = HeadOf("main");
    for (const auto& layer : std::filesystem::directory_iterator(directory() + "/layers")) {
      if (layer.path() == LayerDirectory(head)) continue;
      for (const auto& file : std::filesystem::directory_iterator(layer.path())) {
        files += !file.path().filename().string().starts_with("sealed");
      }
    }
    return files;
  }
  // What was deleted a moment ago may keep some for as long.
  bool HasNoFilesSoon() {
    for (int tries = 0; tries < 100 && FilesOnDisk() > 0; ++tries) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return FilesOnDisk() == 0;
  }
  catalog::LayerState StateOf(LayerId layer) {
    catalog::LayerState state{};
    REQUIRE(catalog()
                .Read([&](catalog::Reader& reader) -> Status {
                  VELAFS_ASSIGN(const auto row, reader.Layer(layer));
                  state = row.state;
                  return {};
                })
                .ok());
    return state;
  }
  uint64_t Integer(const std::function<Result<uint64_t>(catalog::Reader&)>& count) {
    uint64_t number = 0;
    REQUIRE(catalog()
                .Read([&](catalog::Reader& reader) -> Status {
                  VELAFS_ASSIGN(number, count(reader));
                  return {};
                })
                .ok());
    return number;
  }
  std::string CatalogFile() { return directory() + "/catalog.db"; }
  void KeepCatalog() {
    CloseAll();
    std::filesystem::copy_file(CatalogFile(), CatalogFile() + ".old");
    OpenAll();
  }
  void PutBackCatalog() {
    CloseAll();
    std::filesystem::remove(CatalogFile() + "-wal");
    std::filesystem::rename(CatalogFile() + ".old", CatalogFile());
    OpenAll();
  }
  void CheckIsRefused(const std::string& name) {
    const auto opened = volume().Open(name);
    CHECK(opened.status().code() == Code::kCorrupt);
    CHECK(opened.status().message().find("was sealed") != std::string::npos);
  }
  uint64_t Chunks() {
    return Integer([](catalog::Reader& reader) { return reader.ChunkCount(); });
  }
  std::map<std::string, TimeNs> TimesOf(const std::string& name) {
    std::map<std::string, TimeNs> times;
    const auto branch = Open(name);
    for (const auto& [file, content] : TreeOf(name)) {
      times[file] = branch->Get(InodeOf(*branch, file))->mtime;
    }
    return times;
  }
};

TEST_CASE_FIXTURE(SealFixture, "sealing changes nothing that a branch shows") {
  for (const uint64_t limit_bytes : {UINT64_MAX, uint64_t{1}}) {
    CAPTURE(limit_bytes);
    MakeTwoLayers();
    REQUIRE(Clone("main", "dev" + std::to_string(limit_bytes)).ok());
    CHECK(MergeAll() > 0);
    const auto before = TreeOf("main");
    const auto times = TimesOf("main");
    CHECK(FilesOnDisk() > 0);
    CHECK(SealAll(limit_bytes) == 1);
    CHECK(HasNoFilesSoon());
    CHECK(TreeOf("main") == before);
    CHECK(TimesOf("main") == times);
    Write("main", "both", 0, '4');
    Write("main", "born", 0, '4');
    Cut("main", "cut", 20'000);
    const auto after = TreeOf("main");
    Reopen();
    CHECK(TreeOf("main") == after);
    Crash();
    CHECK(TreeOf("dev" + std::to_string(limit_bytes)) == before);
    Unlink("main", "both");
    Unlink("main", "cut");
    Write("main", "both", 0, 'a', 8);
    Write("main", "cut", 0, 'e', 8);
    Write("main", "lower", 0, 'e', 8);
    Write("main", "gone", 0, 'e', 8);
    Unlink("main", "moved");
  }
}

TEST_CASE_FIXTURE(SealFixture,
                  "a branch that is not open, and one that was killed, see no change") {
  MakeTwoLayers();
  CHECK(MergeAll() == 1);
  const auto before = TreeOf("main");
  REQUIRE(volume().SyncAll().ok());
  Crash();
  CHECK(SealAll() == 1);
  CHECK(TreeOf("main") == before);
  Crash();
  CHECK(TreeOf("main") == before);
}

TEST_CASE_FIXTURE(SealFixture, "sealed pages are shared with what is stored already") {
  Write("main", "upper", 0, 'x', 8);
  Freeze();
  Write("main", "upper", 0, 'c', 8);  // as it was imported
  Write("main", "copy", 0, 'a', 8);   // as "both" was
  REQUIRE(Clone("main", "dev").ok());
  CHECK(MergeAll() == 1);
  const auto before = TreeOf("main");
  const uint64_t chunks = Chunks();
  CHECK(SealAll() == 1);
  CHECK(Chunks() == chunks);
  CHECK(TreeOf("main") == before);
}

TEST_CASE_FIXTURE(SealFixture, "a few pages of a chunk take the space of those") {
  Write("main", "both", 1, '1');
  Write("main", "both", 6, '2');
  REQUIRE(Clone("main", "dev").ok());
  CHECK(SealAll() == 1);
  const uint64_t raw_bytes = Integer([](catalog::Reader& reader) -> Result<uint64_t> {
    VELAFS_ASSIGN(const auto chunks, reader.ChunksAfter(ChunkId(), 100));
    uint64_t smallest = kChunkBytes;
    for (const auto& chunk : chunks) {
      if (chunk.location.raw_bytes > 0 && chunk.location.pack != PackId(1)) {
        smallest = std::min<uint64_t>(smallest, chunk.location.raw_bytes);
      }
    }
    return smallest;
  });
  CHECK(raw_bytes == 2 * kPageBytes);
  CHECK(TreeOf("main")["both"] ==
        Pages('a', 1) + Pages('1', 1) + Pages('a', 4) + Pages('2', 1) + Pages('a', 1));
}

TEST_CASE_FIXTURE(SealFixture, "sealed layers are merged, and sealed again") {
  MakeTwoLayers();
  const auto before = TreeOf("main");
  REQUIRE(Clone("main", "dev").ok());
  const LayerId top(Integer([&](catalog::Reader& reader) -> Result<uint64_t> {
    VELAFS_ASSIGN(const auto branch, reader.Branch("dev"));
    VELAFS_ASSIGN(const auto head, reader.Layer(branch->head));
    return head.parent.value;
  }));
  // Each is needed for itself until it is sealed.
  REQUIRE(catalog()
              .Write([&](catalog::Writer& writer) -> Status {
                VELAFS_ASSIGN(const auto chain, writer.Chain(top));
                for (size_t i = 0; i + 1 < chain.size(); ++i) {
                  VELAFS_TRY(
                      writer.AddLayer(chain[i].id, catalog::LayerState::kImporting).status());
                }
                return {};
              })
              .ok());
  CHECK(SealAll() == 3);
  CHECK(TreeOf("main") == before);
  REQUIRE(catalog()
              .Write([&](catalog::Writer& writer) -> Status {
                VELAFS_ASSIGN(const auto layers, writer.Layers());
                for (const auto& layer : layers) {
                  if (layer.state != catalog::LayerState::kImporting) continue;
                  VELAFS_TRY(writer.RemoveLayer(layer.id));
                }
                return {};
              })
              .ok());
  CHECK(StateOf(top) == catalog::LayerState::kSealed);
  const auto reader = Open("dev");  // has it open while it changes
  CHECK(TreeOf("dev") == before);
  CHECK(MergeAll() == 2);
  CHECK(StateOf(top) == catalog::LayerState::kFrozen);
  CHECK(TreeOf("main") == before);
  CHECK(TreeOf("dev") == before);
  CHECK(SealAll() == 1);
  CHECK(StateOf(top) == catalog::LayerState::kSealed);
  CHECK(FilesOnDisk() == 0);
  CHECK(TreeOf("main") == before);
  CHECK(TreeOf("dev") == before);
  Reopen();
  CHECK(TreeOf("main") == before);
  CHECK(TreeOf("dev") == before);
}

TEST_CASE_FIXTURE(SealFixture, "sealing that was stopped can be done later") {
  MakeTwoLayers();
  CHECK(MergeAll() == 1);
  const auto before = TreeOf("main");
  int pieces = 0;
  const auto stopped = Seal(1, [&] { return ++pieces < 4; });
  CHECK(stopped.status().code() == Code::kRefused);
  CHECK(TreeOf("main") == before);
  REQUIRE(volume().SyncAll().ok());
  Crash();
  CHECK(TreeOf("main") == before);
  CHECK(SealAll() == 1);
  CHECK(FilesOnDisk() == 0);
  CHECK(TreeOf("main") == before);
}

TEST_CASE_FIXTURE(SealFixture, "a job that is given up releases its layer") {
  MakeTwoLayers();
  const auto layers = [this] {
    return Integer([](catalog::Reader& reader) -> Result<uint64_t> {
      VELAFS_ASSIGN(const auto rows, reader.Layers());
      return rows.size();
    });
  };
  const uint64_t before = layers();
  {
    const auto merger = LayerMerger::Start(volume());
    REQUIRE(merger.ok());
    REQUIRE(*merger);
    CHECK(layers() == before + 1);
  }
  CHECK(layers() == before);
  CHECK(MergeAll() == 1);
  {
    const auto sealer = LayerSealer::Start(volume(), NowNs());
    REQUIRE(sealer.ok());
    REQUIRE(*sealer);
    CHECK(layers() == before);
  }
  CHECK(layers() == before - 1);
  CHECK(SealAll() == 1);
}

TEST_CASE_FIXTURE(SealFixture, "a state that is being read stays readable") {
  MakeTwoLayers();
  CHECK(MergeAll() == 1);
  const auto before = TreeOf("main");
  LayerId frozen;
  InodeNumber root;
  REQUIRE(catalog()
              .Read([&](catalog::Reader& reader) -> Status {
                VELAFS_ASSIGN(const auto branch, reader.Branch("main"));
                VELAFS_ASSIGN(const auto head, reader.Layer(branch->head));
                frozen = head.parent;
                root = branch->root;
                return {};
              })
              .ok());
  const auto state = volume().OpenState(frozen, root, "a state");
  REQUIRE(state.ok());
  const std::string both = ContentOf(**state, "both");
  CHECK(SealAll() == 1);
  CHECK(FilesOnDisk() > 0);
  CHECK(ContentOf(**state, "both") == both);
  CHECK(ContentOf(**state, "born") == before.at("born"));
}

TEST_CASE_FIXTURE(SealFixture, "a catalog that does not know of the sealing is refused") {
  Write("main", "both", 1, '1');
  REQUIRE(Clone("main", "dev").ok());
  REQUIRE(volume().SyncAll().ok());
  KeepCatalog();
  CHECK(SealAll() == 1);
  PutBackCatalog();
  CheckIsRefused("dev");
}

TEST_CASE_FIXTURE(SealFixture, "so is one that knows of some of the sealings only") {
  MakeTwoLayers();
  CHECK(MergeAll() == 1);
  int pieces = 0;
  CHECK(Seal(1, [&] { return ++pieces < 4; }).status().code() == Code::kRefused);
  REQUIRE(volume().SyncAll().ok());
  KeepCatalog();
  const auto seals = [this] {
    return Integer([](catalog::Reader& reader) -> Result<uint64_t> {
      VELAFS_ASSIGN(const auto branch, reader.Branch("main"));
      VELAFS_ASSIGN(const auto head, reader.Layer(branch->head));
      VELAFS_ASSIGN(const auto frozen, reader.Layer(head.parent));
      return frozen.seals;
    });
  };
  const uint64_t before = seals();
  CHECK(before > 0);
  CHECK(SealAll() == 1);
  CHECK(seals() > before);
  Reopen();
  CHECK(volume().Open("main").ok());
  PutBackCatalog();
  CheckIsRefused("main");
}

TEST_CASE_FIXTURE(SealFixture,
                  "page files that a crash has left go only once the layer is marked") {
  Write("main", "both", 1, '1');
  REQUIRE(Clone("main", "dev").ok());
  REQUIRE(volume().SyncAll().ok());
  const auto before = TreeOf("main");
  const std::string file = directory() + "/catalog.db";
  CloseAll();
  std::filesystem::copy_file(file, file + ".old");
  OpenAll();
  REQUIRE(SealWithoutEnd().ok());
  Crash();
  CHECK(FilesOnDisk() == 0);
  CHECK(TreeOf("main") == before);
  CloseAll();
  std::filesystem::remove(file + "-wal");
  std::filesystem::rename(file + ".old", file);
  OpenAll();
  CHECK(volume().Open("dev").status().code() == Code::kCorrupt);
}

TEST_CASE_FIXTURE(SealFixture, "sealing goes from data to data, however far apart they are") {
  WriteSparse("main", "sparse");
  WriteSparse("main", "both");         // which inherits a little
  REQUIRE(Clone("main", "dev").ok());  // which needs the layer, so that it is not merged
  CHECK(SealAll() == 1);
  Reopen();
  CHECK(HasNoFilesSoon());
  CheckSparse("main", "sparse");
  CheckSparse("main", "both");
  CHECK(PageOf("main", "both", 7) == Pages('a', 1));
  CHECK(PageOf("main", "both", 8) == Pages('\0', 1));
  // What inherits all of it, and holds one page.
  Write("main", "sparse", kLastPage - 3, 'y');
  Freeze();
  CHECK(SealAll() == 1);
  Reopen();
  CHECK(HasNoFilesSoon());
  CHECK(PageOf("main", "sparse", kLastPage - 3) == Pages('y', 1));
  CheckSparse("main", "sparse");
}

}  // namespace
}  // namespace velafs::layer
