#include "velafs/catalog/observer.h"

#include <boost/filesystem.hpp>
#include <thread>

#include "tests/catalog/catalog_fixture.h"
#include "velafs/sql/database.h"

namespace velafs::catalog {
namespace {

struct ObserverFixture : CatalogFixture {
  std::unique_ptr<Observer> Observe(const std::string& file) {
    auto opened = Observer::Open(file);
    REQUIRE_MESSAGE(opened.ok(), opened.status().message());
    return *std::move(opened);
  }
  std::vector<std::string> FindDamage() {
    const auto found = Observe(path)->FindDamage();
    REQUIRE_MESSAGE(found.ok(), found.status().message());
    return *found;
  }
  void CheckFinds(const std::string& words) {
    const std::vector<std::string> found = FindDamage();
    REQUIRE(found.size() == 1);
    CHECK_MESSAGE(found[0].find(words) != std::string::npos, found[0]);
  }
  // A branch as an import makes it: its head on a sealed layer with its top directory.
  void AddSource(const std::string& name) {
    base = AddLayer({}, LayerState::kSealed);
    head = AddLayer(base);
    Write([&](Writer& writer) -> Status {
      VELAFS_ASSIGN(const InodeNumber root, writer.ReserveInodes(2));
      VELAFS_ASSIGN(const InstanceId instance, writer.ReserveInstance());
      VELAFS_TRY(writer.PutInode(base, {.ino = root, .mode = 040700, .nlink = 2}));
      BranchRow row = SomeBranch(name, head, instance.value);
      row.root = root;
      return writer.AddBranch(row).status();
    });
  }
  LayerId base;
  LayerId head;
};

TEST_CASE_FIXTURE(ObserverFixture, "a catalog in use has no damage") {
  CHECK(FindDamage().empty());
  AddSource("main");
  CHECK(FindDamage().empty());
}

TEST_CASE_FIXTURE(ObserverFixture, "what breaks a rule is found, in words") {
  AddSource("main");
  SUBCASE("a head that is frozen") {
    Write([&](Writer& writer) { return writer.SetLayerState(head, LayerState::kFrozen); });
    CheckFinds("branch \"main\" stands on layer 2, which is no head");
  }
  SUBCASE("a head without a branch") {
    AddLayer(base);
    CheckFinds("layer 3 is a head, but no branch's");
  }
  SUBCASE("a layer on one that may change") {
    const LayerId above = AddLayer(head, LayerState::kFrozen);
    CheckFinds("layer " + std::to_string(above.value) + " stands on layer 2, which may change");
  }
  SUBCASE("a name that leads nowhere") {
    Write([&](Writer& writer) {
      return writer.PutName(base, {InodeNumber(1), "lost", InodeNumber(77)});
    });
    CheckFinds("name \"lost\" in directory 1 of layer 1 leads to inode 77, which is nowhere");
  }
  SUBCASE("names without their directory") {
    Write([&](Writer& writer) {
      return writer.PutName(head, {InodeNumber(1), "gone", InodeNumber()});
    });
    CheckFinds("layer 2 has names of directory 1, but not the directory");
  }
  SUBCASE("a whiteout of a directory that is gone is no damage") {
    Write([&](Writer& writer) {
      return writer.PutName(head, {InodeNumber(77), "gone", InodeNumber()});
    });
    CHECK(FindDamage().empty());
  }
  SUBCASE("a directory that is in itself") {
    Write([&](Writer& writer) {
      return writer.PutName(base, {InodeNumber(1), "here", InodeNumber(1)});
    });
    CheckFinds("name \"here\" in directory 1 of layer 1 leads to a top directory");
  }
  SUBCASE("a directory in two places") {
    Write([&](Writer& writer) -> Status {
      VELAFS_TRY(writer.PutInode(base, {.ino = InodeNumber(2), .mode = 040700, .nlink = 2}));
      VELAFS_TRY(writer.PutName(base, {InodeNumber(1), "here", InodeNumber(2)}));
      return writer.PutName(base, {InodeNumber(2), "there", InodeNumber(2)});
    });
    CheckFinds("directory 2 has 2 names in layer 1");
  }
  SUBCASE("rows that refer to none") {
    auto database = sql::Database::Open(path, 1000);
    REQUIRE(database.ok());
    REQUIRE((*database)
                ->Execute("PRAGMA foreign_keys = OFF; DELETE FROM labels;"
                          "INSERT INTO labels VALUES (77, 'a', 'b'), (77, 'c', 'd')")
                .ok());
    CheckFinds("2 rows of labels refer to one of branches that is not there");
  }
  SUBCASE("a manifest that is not whole") {
    Write([&](Writer& writer) {
      return writer.PutInode(base, {.ino = InodeNumber(2),
                                    .mode = 0100600,
                                    .nlink = 1,
                                    .size_bytes = 70'000,
                                    .born_here = true});
    });
    CheckFinds("the manifest of inode 2 in layer 1 is not whole");
  }
  SUBCASE("a manifest with a part that is short") {
    Write([&](Writer& writer) -> Status {
      VELAFS_TRY(writer.PutInode(base, {.ino = InodeNumber(2),
                                        .mode = 0100600,
                                        .nlink = 1,
                                        .size_bytes = kPartBytes + 70'000,
                                        .born_here = true}));
      VELAFS_TRY(writer.PutManifestPart(base, InodeNumber(2), 0, {}));
      return writer.PutManifestPart(base, InodeNumber(2), 1, {std::vector<ChunkId>(1)});
    });
    CheckFinds("the manifest of inode 2 in layer 1 is not whole");
  }
  SUBCASE("a number that will be given again") {
    Write([&](Writer& writer) {
      return writer.PutInode(base, {.ino = InodeNumber(9), .mode = 040700, .nlink = 2});
    });
    CheckFinds("inode number 9 is in use, and will be given again");
  }
}

TEST_CASE_FIXTURE(ObserverFixture, "a reader at length holds up no writer, and sees one state") {
  AddSource("main");
  const auto observer = Observe(path);
  const Status read = observer->Read([&](Reader& reader) -> Status {
    VELAFS_ASSIGN(const auto before, reader.Layers());
    std::thread writer([this] { AddLayer(base, LayerState::kFrozen); });
    writer.join();  // while this reads on
    VELAFS_ASSIGN(const auto after, reader.Layers());
    CHECK(before.size() == after.size());
    return {};
  });
  CHECK(read.ok());
}

TEST_CASE_FIXTURE(ObserverFixture, "a copy is the catalog of one moment, and opens as one") {
  AddSource("main");
  const std::string copy = directory / "copy.db";
  REQUIRE(Observe(path)->CopyTo(copy).ok());
  AddSource("later");
  CHECK(Observe(copy)->FindDamage()->empty());
  const auto opened = Catalog::Open(copy);
  REQUIRE_MESSAGE(opened.ok(), opened.status().message());
  const Status read = (*opened)->Read([](Reader& reader) -> Status {
    VELAFS_ASSIGN(const auto branches, reader.Branches());
    REQUIRE(branches.size() == 1);
    CHECK(branches[0].name == "main");
    return {};
  });
  CHECK(read.ok());
}

TEST_CASE_FIXTURE(ObserverFixture, "observing leaves the catalog's files to the last who writes") {
  AddSource("main");
  { const auto observer = Observe(path); }
  AddSource("second");
  Reopen();
  CHECK(FindDamage().empty());
}

TEST_CASE_FIXTURE(ObserverFixture, "ids that are raised are given no more") {
  GivenIds least;
  least.layer = LayerId(40);
  least.pack = PackId(50);
  least.ino = InodeNumber(60);
  least.instance = InstanceId(70);
  Write([&](Writer& writer) { return writer.RaiseIds(least); });
  least.layer = LayerId(3);  // lower than what has been given: changes nothing
  Write([&](Writer& writer) { return writer.RaiseIds(least); });
  CHECK(AddLayer() == LayerId(41));
  Write([&](Writer& writer) -> Status {
    VELAFS_ASSIGN(const PackId pack, writer.AddPack());
    CHECK(pack == PackId(51));
    VELAFS_ASSIGN(const InodeNumber ino, writer.ReserveInodes(1));
    CHECK(ino == InodeNumber(61));
    VELAFS_ASSIGN(const InstanceId instance, writer.ReserveInstance());
    CHECK(instance == InstanceId(71));
    VELAFS_ASSIGN(const GivenIds last, writer.LastIds());
    CHECK(last.layer == LayerId(41));
    CHECK(last.ino == InodeNumber(61));
    return {};
  });
}

TEST_CASE_FIXTURE(ObserverFixture, "tables are read from end to end, a piece at a time") {
  AddSource("main");
  for (uint8_t i = 1; i <= 7; ++i) {
    Write([&](Writer& writer) -> Status {
      ChunkId id;
      id.bytes.fill(i);
      VELAFS_TRY(writer.PutManifestPart(base, InodeNumber(1 + i / 4), i, {{id}}));
      return writer.PutChunk(id, {PackId(1), 64u * i, 9, 9, Codec::kNone});
    });
  }
  Read([&](Reader& reader) -> Status {
    ChunkId after;
    size_t chunks = 0;
    for (size_t got = 3; got == 3;) {
      VELAFS_ASSIGN(const auto rows, reader.ChunksAfter(after, 3));
      for (const Reader::ChunkRow& row : rows) CHECK(row.location.offset_bytes == 64 * ++chunks);
      got = rows.size();
      if (got > 0) after = rows.back().id;
    }
    CHECK(chunks == 7);
    Reader::ManifestRow place;
    size_t manifests = 0;
    for (size_t got = 2; got == 2;) {
      VELAFS_ASSIGN(auto rows, reader.ManifestsAfter(place, 2));
      for (const Reader::ManifestRow& row : rows) CHECK(row.part == ++manifests);
      got = rows.size();
      if (got > 0) place = std::move(rows.back());
    }
    CHECK(manifests == 7);
    return {};
  });
}

}  // namespace
}  // namespace velafs::catalog
