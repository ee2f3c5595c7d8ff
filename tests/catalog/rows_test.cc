// Every kind of record: written, read back, replaced, removed.
#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "tests/catalog/catalog_fixture.h"

namespace velafs::catalog {
namespace {

InodeRow SomeInode(uint64_t ino) {
  InodeRow row;
  row.ino = InodeNumber(ino);
  row.mode = 0100600;
  row.uid = 4'000'000'000;
  row.gid = 7;
  row.nlink = 2;
  row.size_bytes = uint64_t{1} << 40;
  row.rdev = 0x103;
  row.atime = -1;
  row.mtime = 1'700'000'000'123'456'789;
  row.ctime = 3;
  row.target = std::string("to\0nowhere", 10);
  row.born_here = true;
  return row;
}

bool Same(const InodeRow& a, const InodeRow& b) {
  return a.ino == b.ino && a.mode == b.mode && a.uid == b.uid && a.gid == b.gid &&
         a.nlink == b.nlink && a.size_bytes == b.size_bytes && a.rdev == b.rdev &&
         a.atime == b.atime && a.mtime == b.mtime && a.ctime == b.ctime && a.target == b.target &&
         a.born_here == b.born_here;
}

ChunkId SomeChunk(uint8_t seed) {
  ChunkId id;
  id.bytes.fill(seed);
  return id;
}

TEST_CASE_FIXTURE(CatalogFixture, "an inode comes back whole, and putting it again replaces it") {
  const LayerId layer = AddLayer();
  Write([&](Writer& writer) { return writer.PutInode(layer, SomeInode(5)); });
  Read([&](Reader& reader) -> Status {
    VELAFS_ASSIGN(const auto row, reader.Inode(layer, InodeNumber(5)));
    REQUIRE(row);
    CHECK(Same(*row, SomeInode(5)));
    return {};
  });
  InodeRow changed = SomeInode(5);
  changed.nlink = 0;
  changed.target.clear();
  changed.born_here = false;
  Write([&](Writer& writer) { return writer.PutInode(layer, changed); });
  Read([&](Reader& reader) -> Status {
    VELAFS_ASSIGN(const auto row, reader.Inode(layer, InodeNumber(5)));
    REQUIRE(row);
    CHECK(Same(*row, changed));
    return {};
  });
  Write([&](Writer& writer) { return writer.RemoveInode(layer, InodeNumber(5)); });
  Read([&](Reader& reader) -> Status {
    VELAFS_ASSIGN(const auto row, reader.Inode(layer, InodeNumber(5)));
    CHECK_FALSE(row);
    return {};
  });
}

TEST_CASE_FIXTURE(CatalogFixture, "an inode is told with every layer that says something of it") {
  const LayerId below = AddLayer();
  const LayerId above = AddLayer(below);
  Write([&](Writer& writer) -> Status {
    VELAFS_TRY(writer.PutInode(below, SomeInode(5)));
    VELAFS_TRY(writer.PutInode(above, SomeInode(5)));
    return writer.PutInode(above, SomeInode(6));
  });
  Read([&](Reader& reader) -> Status {
    VELAFS_ASSIGN(auto found, reader.Inodes(InodeNumber(5)));
    REQUIRE(found.size() == 2);
    std::sort(found.begin(), found.end(),
              [](const auto& a, const auto& b) { return a.layer < b.layer; });
    CHECK(found[0].layer == below);
    CHECK(found[1].layer == above);
    CHECK(Same(found[1].row, SomeInode(5)));
    return {};
  });
}

TEST_CASE_FIXTURE(CatalogFixture,
                  "names are kept per layer and directory, as bytes, whiteouts too") {
  const LayerId layer = AddLayer();
  const LayerId other = AddLayer();
  const InodeNumber directory_ino(1);
  const std::string latin1 = "caf\xe9";
  Write([&](Writer& writer) -> Status {
    VELAFS_TRY(writer.PutName(layer, {directory_ino, latin1, InodeNumber(9)}));
    VELAFS_TRY(writer.PutName(layer, {directory_ino, "gone", InodeNumber()}));
    VELAFS_TRY(writer.PutName(layer, {InodeNumber(2), "elsewhere", InodeNumber(9)}));
    VELAFS_TRY(writer.PutName(other, {directory_ino, "elsewhere", InodeNumber(9)}));
    return writer.PutName(layer, {directory_ino, latin1, InodeNumber(10)});
  });
  Read([&](Reader& reader) -> Status {
    VELAFS_ASSIGN(auto names, reader.Names(layer, directory_ino));
    REQUIRE(names.size() == 2);
    std::sort(names.begin(), names.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    CHECK(names[0].name == latin1);
    CHECK(names[0].ino == InodeNumber(10));
    CHECK(names[0].directory == directory_ino);
    CHECK(names[1].name == "gone");
    CHECK_FALSE(names[1].ino);
    return {};
  });
  Write([&](Writer& writer) { return writer.RemoveName(layer, directory_ino, latin1); });
  Read([&](Reader& reader) -> Status {
    VELAFS_ASSIGN(const auto names, reader.Names(layer, directory_ino));
    CHECK(names.size() == 1);
    return {};
  });
}

TEST_CASE_FIXTURE(CatalogFixture, "a manifest part of no chunks is not the same as no part") {
  const LayerId layer = AddLayer();
  ManifestPartRow full{std::vector<ChunkId>(kChunksPerPart, SomeChunk(1)), {}};
  full.chunks[3] = ChunkId();
  const ManifestPartRow some{{SomeChunk(1), ChunkId(), SomeChunk(2)}, {0xff, 0, 0x81}};
  Write([&](Writer& writer) -> Status {
    VELAFS_TRY(writer.PutManifestPart(layer, InodeNumber(5), 0, full));
    VELAFS_TRY(writer.PutManifestPart(layer, InodeNumber(6), 0, some));
    return writer.PutManifestPart(layer, InodeNumber(5), 1, {});
  });
  Read([&](Reader& reader) -> Status {
    VELAFS_ASSIGN(const auto first, reader.ManifestPart(layer, InodeNumber(5), 0));
    VELAFS_ASSIGN(const auto second, reader.ManifestPart(layer, InodeNumber(5), 1));
    VELAFS_ASSIGN(const auto third, reader.ManifestPart(layer, InodeNumber(5), 2));
    REQUIRE(first);
    CHECK(*first == full);
    REQUIRE(second);
    CHECK(second->chunks.empty());
    VELAFS_ASSIGN(const auto other, reader.ManifestPart(layer, InodeNumber(6), 0));
    REQUIRE(other);
    CHECK(*other == some);
    CHECK_FALSE(third);
    return {};
  });
}

TEST_CASE_FIXTURE(CatalogFixture, "removing a pack removes its chunks and no others") {
  const ChunkLocation here{PackId(1), 100, 200, 65536, Codec::kZstd};
  const ChunkLocation there{PackId(2), 24, 8192, 8192, Codec::kNone};
  Write([&](Writer& writer) -> Status {
    VELAFS_ASSIGN(const PackId first, writer.AddPack());
    VELAFS_ASSIGN(const PackId second, writer.AddPack());
    CHECK(first == PackId(1));
    CHECK(second == PackId(2));
    VELAFS_TRY(writer.PublishPack(second));
    VELAFS_TRY(writer.PutChunk(SomeChunk(1), here));
    return writer.PutChunk(SomeChunk(2), there);
  });
  Read([&](Reader& reader) -> Status {
    VELAFS_ASSIGN(const auto packs, reader.Packs());
    REQUIRE(packs.size() == 2);
    CHECK_FALSE(packs[0].published);
    CHECK(packs[1].published);
    VELAFS_ASSIGN(const auto found, reader.Chunk(SomeChunk(1)));
    CHECK(found == here);
    return {};
  });
  Write([&](Writer& writer) { return writer.RemovePack(PackId(1)); });
  Read([&](Reader& reader) -> Status {
    VELAFS_ASSIGN(const auto gone, reader.Chunk(SomeChunk(1)));
    VELAFS_ASSIGN(const auto kept, reader.Chunk(SomeChunk(2)));
    VELAFS_ASSIGN(const uint64_t count, reader.ChunkCount());
    CHECK_FALSE(gone);
    CHECK(kept == there);
    CHECK(count == 1);
    return {};
  });
  CHECK(catalog->Write([](Writer& writer) { return writer.PublishPack(PackId(1)); })
            .status()
            .code() == Code::kCorrupt);
}

TEST_CASE_FIXTURE(CatalogFixture, "a chain runs from a layer to the first of its tree") {
  const LayerId first = AddLayer({}, LayerState::kSealed);
  const LayerId second = AddLayer(first, LayerState::kFrozen);
  const LayerId third = AddLayer(second);
  AddLayer(first);
  Write([&](Writer& writer) -> Status {
    VELAFS_TRY(writer.SetLayerLogicalBytes(first, 12345));
    VELAFS_TRY(writer.SetLayerStoredBytes(first, 99));
    return writer.SetLayerState(third, LayerState::kFrozen);
  });
  Read([&](Reader& reader) -> Status {
    VELAFS_ASSIGN(const auto chain, reader.Chain(third));
    REQUIRE(chain.size() == 3);
    CHECK(chain[0].id == third);
    CHECK(chain[0].state == LayerState::kFrozen);
    CHECK_FALSE(chain[0].logical_bytes);
    CHECK(chain[0].created_at > 0);
    CHECK(chain[1].id == second);
    CHECK(chain[2].id == first);
    CHECK_FALSE(chain[2].parent);
    CHECK(chain[2].logical_bytes == 12345u);
    CHECK(chain[2].stored_bytes == 99);
    VELAFS_ASSIGN(const auto layers, reader.Layers());
    CHECK(layers.size() == 4);
    CHECK(reader.Layer(LayerId(77)).status().code() == Code::kCorrupt);
    return {};
  });
}

TEST_CASE_FIXTURE(CatalogFixture,
                  "a layer is removed with what it holds, unless something stands on it") {
  const LayerId below = AddLayer();
  const LayerId above = AddLayer(below);
  const BranchId branch = AddBranch(SomeBranch("main", above, 1));
  Write([&](Writer& writer) -> Status {
    VELAFS_TRY(writer.PutName(above, {InodeNumber(1), "f", InodeNumber(2)}));
    VELAFS_TRY(writer.PutInode(above, SomeInode(2)));
    VELAFS_TRY(writer.PutManifestPart(above, InodeNumber(2), 0, {}));
    return writer.AddBookmark({branch, "here", below, InodeNumber(1), 1, ""});
  });
  Read([&](Reader& reader) -> Status {
    VELAFS_ASSIGN(const uint64_t uses_below, reader.LayerUses(below));
    VELAFS_ASSIGN(const uint64_t uses_above, reader.LayerUses(above));
    VELAFS_ASSIGN(const bool below_is_empty, reader.LayerIsEmpty(below));
    VELAFS_ASSIGN(const bool above_is_empty, reader.LayerIsEmpty(above));
    CHECK(uses_below == 2);
    CHECK(uses_above == 1);
    CHECK(below_is_empty);
    CHECK_FALSE(above_is_empty);
    return {};
  });
  for (const LayerId used : {below, above}) {
    const auto removed = catalog->Write([&](Writer& w) { return w.RemoveLayer(used); });
    CHECK(removed.status().code() == Code::kRefused);
  }
  Write([&](Writer& writer) -> Status {
    VELAFS_TRY(writer.RemoveBranch(branch));
    VELAFS_TRY(writer.RemoveLayer(above));
    return writer.RemoveLayer(below);
  });
  Read([&](Reader& reader) -> Status {
    VELAFS_ASSIGN(const auto layers, reader.Layers());
    CHECK(layers.empty());
    VELAFS_ASSIGN(const bool is_empty, reader.LayerIsEmpty(above));
    CHECK(is_empty);
    return {};
  });
}

TEST_CASE_FIXTURE(CatalogFixture, "a branch comes back whole, by name and by instance") {
  BranchRow branch = SomeBranch("pr-1", AddLayer(), 8);
  branch.parent = BranchId(77);
  branch.parent_name = "gone";
  branch.parent_bookmark = BookmarkId(78);
  branch.parent_bookmark_name = "nightly";
  branch.created_at = 11;
  branch.expires_at = 22;
  branch.is_protected = true;
  branch.protected_until = 33;
  branch.note = "for \"review\"";
  branch.quota_bytes = 1 << 30;
  branch.port = 5433;
  branch.first_layer = branch.head;
  branch.shown_as = FileOwner{1000, 1001};
  branch.labels = {{"ci", "1"}, {"team", "a"}};
  branch.id = AddBranch(branch);
  AddBranch(SomeBranch("main", AddLayer(), 9));

  const auto check = [](const BranchRow& row, const BranchRow& expected) {
    CHECK(row.id == expected.id);
    CHECK(row.instance == expected.instance);
    CHECK(row.name == expected.name);
    CHECK(row.head == expected.head);
    CHECK(row.root == expected.root);
    CHECK(row.parent == expected.parent);
    CHECK(row.parent_name == expected.parent_name);
    CHECK(row.parent_bookmark == expected.parent_bookmark);
    CHECK(row.parent_bookmark_name == expected.parent_bookmark_name);
    CHECK(row.owner == expected.owner);
    CHECK(row.created_at == expected.created_at);
    CHECK(row.expires_at == expected.expires_at);
    CHECK(row.is_protected == expected.is_protected);
    CHECK(row.protected_until == expected.protected_until);
    CHECK(row.note == expected.note);
    CHECK(row.quota_bytes == expected.quota_bytes);
    CHECK(row.port == expected.port);
    CHECK(row.first_layer == expected.first_layer);
    CHECK(row.shown_as == expected.shown_as);
    CHECK(row.labels == expected.labels);
  };
  Read([&](Reader& reader) -> Status {
    VELAFS_ASSIGN(const auto by_name, reader.Branch("pr-1"));
    VELAFS_ASSIGN(const auto by_instance, reader.BranchByInstance(InstanceId(8)));
    VELAFS_ASSIGN(const auto none, reader.BranchByInstance(InstanceId(10)));
    VELAFS_ASSIGN(const auto all, reader.Branches());
    REQUIRE(by_name);
    check(*by_name, branch);
    REQUIRE(by_instance);
    check(*by_instance, branch);
    CHECK_FALSE(none);
    REQUIRE(all.size() == 2);
    CHECK(all[0].name == "main");
    check(all[1], branch);
    return {};
  });

  branch.instance = InstanceId(12);
  branch.name = "pr-2";
  branch.expires_at.reset();
  branch.quota_bytes.reset();
  branch.port.reset();
  branch.shown_as.reset();
  branch.labels = {{"team", "b"}};
  Write([&](Writer& writer) { return writer.UpdateBranch(branch); });
  Read([&](Reader& reader) -> Status {
    VELAFS_ASSIGN(const auto row, reader.Branch("pr-2"));
    REQUIRE(row);
    check(*row, branch);
    VELAFS_ASSIGN(const auto old_name, reader.Branch("pr-1"));
    CHECK_FALSE(old_name);
    return {};
  });
}

TEST_CASE_FIXTURE(CatalogFixture, "a branch's name and port are its own") {
  BranchRow first = SomeBranch("one", AddLayer(), 1);
  first.port = 5433;
  first.id = AddBranch(first);
  BranchRow second = SomeBranch("one", AddLayer(), 2);
  const auto added = catalog->Write([&](Writer& w) { return w.AddBranch(second).status(); });
  CHECK(added.status().code() == Code::kExists);
  CHECK(added.status().message() == "branch \"one\" exists");

  second.name = "two";
  second.id = AddBranch(second);
  second.port = 5433;
  const auto moved = catalog->Write([&](Writer& w) { return w.UpdateBranch(second); });
  CHECK(moved.status().code() == Code::kExists);
  CHECK(moved.status().message() == "port 5433 is taken");
  CHECK(catalog->Write([&](Writer& w) { return w.UpdateBranch(first); }).ok());
  first.id = BranchId(99);
  first.name = "three";
  first.port.reset();
  first.instance = InstanceId(3);
  CHECK(catalog->Write([&](Writer& w) { return w.UpdateBranch(first); }).status().code() ==
        Code::kNotFound);
}

TEST_CASE_FIXTURE(CatalogFixture, "bookmarks are told oldest first and go with their branch") {
  const LayerId layer = AddLayer({}, LayerState::kFrozen);
  const BranchId branch = AddBranch(SomeBranch("main", AddLayer(layer), 1));
  Write([&](Writer& writer) -> Status {
    VELAFS_TRY(writer.AddBookmark({branch, "b", layer, InodeNumber(1), 20, "later"}));
    return writer.AddBookmark({branch, "c", layer, InodeNumber(1), 10, "sooner"});
  });
  const auto again = catalog->Write([&](Writer& w) {
    return w.AddBookmark({branch, "b", layer, InodeNumber(1), 30, ""});
  });
  CHECK(again.status().message() == "bookmark \"b\" exists");
  Read([&](Reader& reader) -> Status {
    VELAFS_ASSIGN(const auto all, reader.Bookmarks(branch));
    REQUIRE(all.size() == 2);
    CHECK(all[0].name == "c");
    CHECK(all[1].name == "b");
    VELAFS_ASSIGN(const auto one, reader.Bookmark(branch, "b"));
    REQUIRE(one);
    CHECK(one->layer == layer);
    CHECK(one->created_at == 20);
    CHECK(one->note == "later");
    return {};
  });
  Write([&](Writer& writer) { return writer.RemoveBookmark(branch, "b"); });
  CHECK(catalog->Write([&](Writer& w) { return w.RemoveBookmark(branch, "b"); }).status().code() ==
        Code::kNotFound);
  Write([&](Writer& writer) { return writer.RemoveBranch(branch); });
  Read([&](Reader& reader) -> Status {
    VELAFS_ASSIGN(const auto all, reader.Bookmarks(branch));
    CHECK(all.empty());
    return {};
  });
}

TEST_CASE_FIXTURE(CatalogFixture, "ids are not given again after removal and reopening") {
  const LayerId old_layer = AddLayer();
  BranchId old_branch = AddBranch(SomeBranch("main", old_layer, 1));
  PackId old_pack;
  InodeNumber old_ino;
  InstanceId old_instance;
  Write([&](Writer& writer) -> Status {
    VELAFS_ASSIGN(old_pack, writer.AddPack());
    VELAFS_ASSIGN(old_ino, writer.ReserveInodes(100));
    VELAFS_ASSIGN(old_instance, writer.ReserveInstance());
    VELAFS_TRY(writer.RemovePack(old_pack));
    VELAFS_TRY(writer.RemoveBranch(old_branch));
    return writer.RemoveLayer(old_layer);
  });
  Reopen();
  const LayerId layer = AddLayer();
  CHECK(layer > old_layer);
  CHECK(AddBranch(SomeBranch("main", layer, 2)) > old_branch);
  Write([&](Writer& writer) -> Status {
    VELAFS_ASSIGN(const PackId pack, writer.AddPack());
    VELAFS_ASSIGN(const InodeNumber ino, writer.ReserveInodes(1));
    VELAFS_ASSIGN(const InstanceId instance, writer.ReserveInstance());
    CHECK(pack > old_pack);
    CHECK(ino.value == old_ino.value + 100);
    CHECK(instance > old_instance);
    return {};
  });
}

TEST_CASE_FIXTURE(CatalogFixture, "no number is given that a node id does not hold") {
  Write([&](Writer& writer) -> Status {
    GivenIds given;
    given.ino = InodeNumber(kMaxInode - 10);
    given.instance = InstanceId(kMaxInstance - 1);
    return writer.RaiseIds(given);
  });
  Write([&](Writer& writer) -> Status {
    VELAFS_ASSIGN(const InodeNumber ino, writer.ReserveInodes(9));
    CHECK(ino.value == kMaxInode - 9);
    VELAFS_ASSIGN(const InstanceId instance, writer.ReserveInstance());
    CHECK(instance.value == kMaxInstance);
    return {};
  });
  for (int attempt = 0; attempt < 2; ++attempt) {
    const Status inodes =
        catalog->Write([](Writer& writer) { return writer.ReserveInodes(2).status(); }).status();
    CHECK(inodes.error_number() == ENOSPC);
    const Status instance =
        catalog->Write([](Writer& writer) { return writer.ReserveInstance().status(); }).status();
    CHECK(instance.error_number() == ENOSPC);
    CHECK(instance.hint() == "export the branches to keep, and import them into a new store");
  }
}

}  // namespace
}  // namespace velafs::catalog
