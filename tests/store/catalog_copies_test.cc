// What is left when the catalog is lost: its copies, and what a repair makes of them.
#include "velafs/store/catalog_copies.h"

#include "tests/store/broken_store.h"
#include "tests/store/hooked_storage.h"
#include "velafs/store/scrub/scrub.h"

namespace velafs::store {
namespace {

using namespace test;
using Kind = Damage::Kind;

struct LostCatalog : BrokenStore {
  const StorePaths paths{root};
  os::Storage& storage = os::HostStorage();

  void DeleteCatalog() {
    for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(CatalogFile() + suffix);
  }
  std::vector<CatalogCopy> Copies() {
    const auto copies = ListCatalogCopies(storage, paths);
    REQUIRE(copies.ok());
    return *copies;
  }
  void RemoveCopies() { fs::remove_all(paths.Copies()); }
  // The newest copy, kept where no later one drives it out.
  void KeepNewest() { fs::copy_file(Copies()[0].path, scratch / "old.db"); }
  void LeaveOnlyKept() {
    RemoveCopies();
    fs::create_directory(paths.Copies());
    fs::copy_file(scratch / "old.db", paths.Copies() + "/catalog-7.db");
  }
  void CheckIsRefused(const std::string& words) {
    const auto opened = Store::Open(root);
    CHECK(opened.status().code() == Code::kCorrupt);
    CheckMessage(opened.status(), words);
    CHECK(opened.status().hint().find("scrub") != std::string::npos);
  }
  fs::path Aside() { return *fs::directory_iterator(paths.LostAndFound()); }
};

TEST_CASE_FIXTURE(LostCatalog, "a deleted catalog") {
  DeleteCatalog();
  CheckIsRefused("its catalog is missing");
  CheckFinds(Kind::kCatalog, "the catalog is missing");
  const ScrubReport dry = Scrub({.dry_run = true});
  CHECK(dry.corrupt.size() == 1);
  CHECK_FALSE(fs::exists(CatalogFile()));
  const ScrubReport repaired = Repair();
  CHECK(repaired.corrupt.empty());
  REQUIRE(repaired.repaired.size() == 1);
  CHECK(repaired.repaired[0].starts_with("restored the catalog from the copy of "));
  CheckIsClean();
  CheckReads("dev", ino, dev_content);
  CheckReads("dev", new_ino, "of dev alone");
}

TEST_CASE_FIXTURE(LostCatalog, "a deleted catalog of which no copy is left") {
  RemoveCopies();
  DeleteCatalog();
  const ScrubReport report = Repair();
  CheckHas(report, Kind::kCatalog, "there is no good copy of it");
  CHECK(fs::exists(PackFile()));
  CheckIsRefused("its catalog is missing");
}

TEST_CASE_FIXTURE(LostCatalog, "a deleted catalog whose log was left is not read into the copy") {
  Reopen();
  Clone("main", "late");
  store.reset();
  const std::string log = CatalogFile() + "-wal";
  std::ofstream(log, std::ios::app) << "frames of a catalog that is gone";
  fs::remove(CatalogFile());
  CHECK(Repair().corrupt.empty());
  CHECK((!fs::exists(log) || fs::file_size(log) == 0));
  CHECK(fs::exists(Aside() / "catalog.db-wal"));
  CheckReads("dev", ino, dev_content);
}

TEST_CASE_FIXTURE(LostCatalog, "a catalog that is no database") {
  std::ofstream(CatalogFile(), std::ios::trunc) << std::string(8192, 'x');
  CheckIsRefused("not a database");
  CheckFinds(Kind::kCatalog, "not a database");
  CHECK(Repair().corrupt.empty());
  CHECK(fs::exists(Aside() / "catalog.db"));
  CheckIsClean();
  CheckReads("dev", ino, dev_content);
}

TEST_CASE_FIXTURE(LostCatalog, "a catalog with a damaged page that still opens") {
  // A page in the middle of the file: of a table or an index.
  std::fstream file(CatalogFile(), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(5 * 4096);
  file << std::string(4096, 'x');
  file.close();
  const ScrubReport report = Scrub();
  REQUIRE_FALSE(report.corrupt.empty());
  CHECK(report.corrupt[0].kind == Kind::kCatalog);
  CHECK_FALSE(Repair().corrupt.empty());  // it may hold more than its copies
  const ScrubReport restored = Scrub({.repair = true, .restore_catalog = true});
  CHECK(restored.corrupt.empty());
  CHECK(fs::exists(Aside() / "catalog.db"));
  CheckIsClean();
  CheckReads("dev", ino, dev_content);
}

TEST_CASE_FIXTURE(LostCatalog, "a catalog from the future is refused in words and not touched") {
  Sql("PRAGMA user_version = 99");
  const std::string before = ReadHostFile(CatalogFile());
  for (const ScrubOptions& options : {ScrubOptions{}, ScrubOptions{.repair = true},
                                      ScrubOptions{.repair = true, .restore_catalog = true}}) {
    const auto report = ScrubClosedStore(root, options, nullptr);
    CHECK(report.status().code() == Code::kFailed);
    CheckMessage(report.status(), "its schema version is 99");
  }
  CHECK(Store::Open(root).status().code() == Code::kFailed);
  CHECK((ReadHostFile(CatalogFile()) == before));
}

TEST_CASE_FIXTURE(LostCatalog, "a copy that is damaged itself is passed over") {
  Reopen();
  Clone("main", "late");
  Close();
  REQUIRE(Copies().size() >= 2);
  std::ofstream(Copies()[0].path, std::ios::trunc) << "nothing";
  DeleteCatalog();
  CHECK(Repair().corrupt.empty());
  CheckReads("dev", ino, dev_content);
}

TEST_CASE_FIXTURE(LostCatalog,
                  "what an older copy does not know is put aside, and its ids stay given") {
  KeepNewest();
  Reopen();
  Clone("dev", "late");
  Write("late", kFile, 0, "written in late");
  const LayerId late = HeadOf("late");
  WriteHostFile(data + "/base/5/2000", Noise(70'000, 9));
  Import("second");
  const auto dev = *store->volume().Open("dev");
  const auto made = dev->Make(dev->root(), "later", {.mode = S_IFREG | 0600});
  REQUIRE(made.ok());
  Write("dev", "later", 0, "made later");
  Close();
  LeaveOnlyKept();
  DeleteCatalog();

  const ScrubReport repaired = Repair();
  CHECK(repaired.corrupt.empty());
  CHECK_FALSE(fs::exists(LayerFile(late, ino)));
  CHECK(fs::exists(Aside() / "layers" / std::to_string(late.value) / std::to_string(ino.value)));
  CHECK(fs::exists(Aside() / "packs/2.pack"));
  bool has_later = false;
  for (const auto& entry : fs::recursive_directory_iterator(Aside())) {
    has_later |= entry.path().filename() == std::to_string(made->ino.value);
  }
  CHECK(has_later);
  CheckReads("main", ino, main_content);

  Reopen();
  Clone("main", "fresh");
  CHECK(HeadOf("fresh") > late);
  Import("third");
  CHECK(fs::exists(PackFile(3)));
  const auto fresh = *store->volume().Open("fresh");
  const auto number = fresh->Make(fresh->root(), "f", {.mode = S_IFREG | 0600});
  REQUIRE(number.ok());
  CHECK(number->ino > made->ino);
}

TEST_CASE_FIXTURE(LostCatalog,
                  "an older catalog put in place by hand loses nothing at the next open") {
  KeepNewest();
  Reopen();
  Clone("dev", "late");
  Write("late", kFile, 0, "written in late");
  const LayerId late = HeadOf("late");
  Close();
  DeleteCatalog();
  fs::copy_file(scratch / "old.db", CatalogFile());
  CheckIsRefused("its catalog is older than");
  CHECK(fs::exists(LayerFile(late, ino)));
  CHECK(Repair().corrupt.empty());
  CHECK(fs::exists(Aside() / "layers" / std::to_string(late.value) / std::to_string(ino.value)));
  Reopen();
}

TEST_CASE_FIXTURE(LostCatalog,
                  "the newest few copies are kept, and none is made of what has not changed") {
  RemoveCopies();
  for (int i = 0; i < 5; ++i) REQUIRE(MakeCatalogCopy(storage, paths).ok());
  const std::vector<CatalogCopy> copies = Copies();
  REQUIRE(copies.size() == 3);
  CHECK(copies[0].number == 5);
  MakeCatalogCopyIfChanged(storage, paths);
  CHECK(Copies()[0].number == 5);
  struct stat info;
  REQUIRE(stat(copies[0].path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
}

TEST_CASE_FIXTURE(LostCatalog, "a copy that fails at any point leaves the others as they are") {
  RemoveCopies();
  REQUIRE(MakeCatalogCopy(storage, paths).ok());
  for (int allowed = 0;; ++allowed) {
    REQUIRE(allowed < 50);
    int left = allowed;
    HookedStorage failing(
        [&](const std::string&) { return left-- > 0 ? Status() : Errno(ENOSPC); });
    const Status made = MakeCatalogCopy(failing, paths);
    CHECK(Copies().back().number == 1);
    for (const CatalogCopy& copy : Copies()) CHECK(fs::file_size(copy.path) > 4096);
    if (made.ok()) break;
    CHECK(made.error_number() == ENOSPC);
  }
}

TEST_CASE_FIXTURE(LostCatalog, "an import is in a copy of the catalog when its command is done") {
  RemoveCopies();
  Reopen();
  Import("second");
  CHECK(Copies().size() == 1);
}

TEST_CASE_FIXTURE(LostCatalog, "a copy is made while the catalog is written") {
  Reopen();
  store->KeepCatalogCopies();
  Clone("main", "one");
  Import("second");  // asks for one
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  const uint64_t before = Copies()[0].number;
  int clones = 0;
  while (Copies()[0].number == before && std::chrono::steady_clock::now() < deadline) {
    Clone("main", "busy-" + std::to_string(clones++));
  }
  CHECK(Copies()[0].number > before);
  Close();
}

}  // namespace
}  // namespace velafs::store
