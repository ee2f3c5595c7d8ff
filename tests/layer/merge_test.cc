// Layers that nothing needs for themselves are merged, and nobody sees it.
#include <sys/stat.h>

#include "tests/layer/merge_fixture.h"

namespace velafs::layer {
namespace {

TEST_CASE_FIXTURE(MergeFixture, "a merge changes nothing that a branch shows") {
  MakeTwoLayers();
  const auto before = TreeOf("main");
  CHECK(Depth("main") == 4);
  const size_t directories = DirectoriesOnDisk();
  CHECK(MergeAll() == 1);
  CHECK(Depth("main") == 3);
  CHECK(DirectoriesOnDisk() == directories - 1);
  CHECK(TreeOf("main") == before);
  Write("main", "both", 0, '4');
  Write("main", "born", 0, '4');
  const auto after = TreeOf("main");
  Reopen();
  CHECK(TreeOf("main") == after);
  CHECK(MergeAll() == 0);
}

TEST_CASE_FIXTURE(MergeFixture,
                  "a branch that is not open, and one that was killed, are merged too") {
  MakeTwoLayers();
  REQUIRE(volume().SyncAll().ok());
  const auto before = TreeOf("main");
  Crash();
  CHECK(MergeAll() == 1);
  CHECK(TreeOf("main") == before);
  Crash();
  CHECK(TreeOf("main") == before);
}

TEST_CASE_FIXTURE(MergeFixture, "clones of the upper layer see what they saw, and go on") {
  MakeTwoLayers();
  REQUIRE(Clone("main", "dev").ok());  // its layer is needed, and stands on the two
  const auto main_before = TreeOf("main");
  const auto dev_before = TreeOf("dev");
  CHECK(MergeAll() == 2);
  CHECK(TreeOf("main") == main_before);
  CHECK(TreeOf("dev") == dev_before);
  Write("dev", "both", 1, '5');
  CHECK(TreeOf("main") == main_before);
  CHECK(TreeOf("dev") != dev_before);
}

TEST_CASE_FIXTURE(MergeFixture, "a layer that a clone stands on is not merged") {
  Write("main", "both", 0, '1');
  REQUIRE(Clone("main", "dev").ok());
  Write("main", "both", 1, '2');
  Freeze();
  Write("main", "both", 2, '3');
  CHECK(MergeAll() == 0);
  REQUIRE(volume().Remove("dev", [](catalog::Writer&) { return Status(); }).ok());
  CHECK(MergeAll() == 1);
}

TEST_CASE_FIXTURE(MergeFixture, "a merge gives back what nobody sees any more") {
  for (int i = 0; i < 5; ++i) {
    Write("main", "both", 0, static_cast<char>('1' + i), 8);
    Freeze();
  }
  const uint64_t before = volume().Usage("main")->own_bytes;
  CHECK(MergeAll() == 4);
  Reopen();
  const uint64_t after = volume().Usage("main")->own_bytes;
  CHECK(after < before / 4);
  CHECK(TreeOf("main")["both"] == Pages('5', 8));
}

TEST_CASE_FIXTURE(MergeFixture, "a merge leaves no whiteouts that hide nothing") {
  const auto make = [](Branch& branch, InodeNumber in, const std::string& name, mode_t mode) {
    const auto made = branch.Make(in, name, {.mode = mode});
    REQUIRE(made.ok());
    return made->ino;
  };
  InodeNumber gone;
  InodeNumber kept;
  {
    const auto branch = Open("main");
    gone = make(*branch, branch->root(), "directory", S_IFDIR | 0700);
    make(*branch, gone, "file", S_IFREG | 0600);
    make(*branch, branch->root(), "passing", S_IFREG | 0600);
    kept = make(*branch, branch->root(), "other", S_IFDIR | 0700);
    make(*branch, kept, "file", S_IFREG | 0600);
  }
  Freeze();
  {
    const auto branch = Open("main");
    REQUIRE(branch->Unlink(gone, "file").ok());
    REQUIRE(branch->RemoveDirectory(branch->root(), "directory").ok());
    REQUIRE(branch->Unlink(kept, "file").ok());
  }
  Unlink("main", "passing");
  Unlink("main", "gone");
  Freeze();
  CHECK(MergeAll() == 1);
  Reopen();
  {
    const auto branch = Open("main");
    CHECK(branch->Lookup(branch->root(), "directory").status().error_number() == ENOENT);
    CHECK(branch->Lookup(branch->root(), "gone").status().error_number() == ENOENT);
    CHECK(branch->Lookup(kept, "file").status().error_number() == ENOENT);
  }
  const auto names_left = [&](InodeNumber in) {
    size_t names = 0;
    REQUIRE(catalog()
                .Read([&](catalog::Reader& reader) -> Status {
                  VELAFS_ASSIGN(const auto layers, reader.Layers());
                  for (const catalog::LayerRow& layer : layers) {
                    VELAFS_ASSIGN(const auto rows, reader.Names(layer.id, in));
                    names += rows.size();
                  }
                  return {};
                })
                .ok());
    return names;
  };
  CHECK(names_left(gone) == 0);
  CHECK(names_left(kept) == 0);
  CHECK(names_left(Open("main")->root()) == 6 + 1 + 1);  // with "other", and the whiteout of "gone"
}

TEST_CASE_FIXTURE(MergeFixture, "a name that was made and removed again hides an older one") {
  Write("main", "gone", 0, '1');
  REQUIRE(Clone("main", "kept").ok());
  for (int i = 0; i < 2; ++i) {
    Unlink("main", "gone");
    Freeze();
    Write("main", "gone", 0, '2');
    Freeze();
  }
  Unlink("main", "gone");
  Freeze();
  CHECK(MergeAll() > 2);
  Reopen();
  CHECK_FALSE(TreeOf("main").contains("gone"));
  CHECK(TreeOf("kept").contains("gone"));
}

TEST_CASE_FIXTURE(MergeFixture, "what lies below a cut does not come back") {
  Cut("main", "both", 3 * kPageBytes + 10);
  Freeze();
  Cut("main", "both", 8 * kPageBytes);
  Write("main", "both", 7, '2');
  Freeze();
  Write("main", "none", 0, '3');
  const auto before = TreeOf("main");
  CHECK(before.at("both").substr(3 * kPageBytes + 10, 5) == std::string(5, '\0'));
  CHECK(MergeAll() == 1);
  CHECK(TreeOf("main") == before);
  Reopen();
  CHECK(TreeOf("main") == before);
}

TEST_CASE_FIXTURE(MergeFixture, "a page that was cut keeps what is before the cut") {
  Cut("main", "both", 3 * kPageBytes + 10);
  Cut("main", "both", 8 * kPageBytes);
  Freeze();
  Write("main", "both", 7, '2');
  Freeze();
  Write("main", "none", 0, '3');
  const auto before = TreeOf("main");
  CHECK(before.at("both").substr(3 * kPageBytes, 12) == "aaaaaaaaaa" + std::string(2, '\0'));
  CHECK(MergeAll() == 1);
  CHECK(TreeOf("main") == before);
}

TEST_CASE_FIXTURE(MergeFixture, "a file that is open without a name keeps what it had") {
  Write("main", "open", 0, '1', 4);
  const auto main = Open("main");
  const InodeNumber ino = InodeOf(*main, "open");
  main->Retain(ino);
  Freeze();
  Unlink("main", "open");
  Write("main", "both", 0, '2');
  Freeze();
  Write("main", "both", 1, '3');
  CHECK(MergeAll() == 0);
  std::string content(4 * kPageBytes, '?');
  REQUIRE(main->Read(ino, 0, std::as_writable_bytes(std::span(content))).ok());
  CHECK(content == Pages('1', 4));
  main->Forget(ino, 1);
  CHECK(MergeAll() == 1);
}

TEST_CASE_FIXTURE(MergeFixture, "a merge that was stopped can be done later") {
  MakeTwoLayers();
  const auto before = TreeOf("main");
  const auto merge = LayerMerger::Start(volume());
  REQUIRE(merge.ok());
  REQUIRE(*merge);
  int pieces = 0;
  CHECK((*merge)->Run([&] { return ++pieces < 5; }).ok());
  CHECK(TreeOf("main") == before);
  CHECK(Depth("main") == 4);
  Reopen();
  CHECK(TreeOf("main") == before);
  CHECK(MergeAll() == 1);
  CHECK(TreeOf("main") == before);
}

TEST_CASE_FIXTURE(MergeFixture, "layers whose branch goes while they are merged go, too") {
  REQUIRE(Clone("main", "dev").ok());
  for (int i = 0; i < 2; ++i) {
    Write("dev", "both", 0, static_cast<char>('1' + i), 3);
    REQUIRE(Clone("dev", "passing").ok());
    REQUIRE(volume().Remove("passing", [](catalog::Writer&) { return Status(); }).ok());
  }
  const auto merge = LayerMerger::Start(volume());
  REQUIRE(merge.ok());
  REQUIRE(*merge);
  REQUIRE(volume().Remove("dev", [](catalog::Writer&) { return Status(); }).ok());
  CHECK((*merge)->Run([] { return true; }).ok());
  CHECK(DirectoriesOnDisk() == 0);
}

TEST_CASE_FIXTURE(MergeFixture, "times of files stay") {
  MakeTwoLayers();
  const auto time_of = [this](const char* name) {
    const auto main = Open("main");
    return main->Get(InodeOf(*main, name))->mtime;
  };
  std::map<std::string, TimeNs> before;
  for (const char* name : {"both", "moved", "upper", "born", "cut"}) before[name] = time_of(name);
  CHECK(MergeAll() == 1);
  Reopen();
  for (const auto& [name, time] : before) CHECK(time_of(name.c_str()) == time);
}

TEST_CASE_FIXTURE(MergeFixture, "a merge goes from data to data, however far apart they are") {
  WriteSparse("main", "sparse");
  Freeze();
  Write("main", "sparse", kLastPage - 3, 'y');
  Freeze();
  CHECK(MergeAll() == 1);
  Reopen();
  CHECK(PageOf("main", "sparse", kLastPage - 3) == Pages('y', 1));
  CheckSparse("main", "sparse");
}

}  // namespace
}  // namespace velafs::layer
