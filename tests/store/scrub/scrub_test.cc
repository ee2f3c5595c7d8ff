// Broken stores, each named for its break: what a scrub says, what a repair does, and what is read.
#include "velafs/store/scrub/scrub.h"

#include "tests/store/broken_store.h"
#include "velafs/store/bookmark_verbs.h"
#include "velafs/store/upkeep_verbs.h"

namespace velafs::store {
namespace {

using namespace test;
using Kind = Damage::Kind;
using Names = std::vector<std::string>;

const Names kAll = {"dev", "dev@then", "main"};

bool Mentions(const std::vector<std::string>& texts, const std::string& words) {
  return std::any_of(texts.begin(), texts.end(), [&](const std::string& text) {
    return text.find(words) != std::string::npos;
  });
}

TEST_CASE_FIXTURE(BrokenStore,
                  "nothing broken: a scrub is clean, and counts what it has looked at") {
  const ScrubReport report = Scrub();
  CHECK(report.corrupt.empty());
  CHECK(report.repaired.empty());
  CHECK(report.left_over.empty());
  CHECK(report.packs_checked == 1);
  CHECK(report.chunks_checked == 7);
  CHECK(report.bytes_checked == fs::file_size(PackFile()) - 64);
  CHECK(report.page_files_checked == 3);
  CHECK(Repair().repaired.empty());
  CheckReads("dev", ino, dev_content);
}

TEST_CASE_FIXTURE(BrokenStore, "a flipped bit in a pack's payload") {
  const auto [id, location] = ChunkOfFile(1);
  FlipBit(PackFile(), location.offset_bytes + 1000);
  const Damage damage =
      CheckFinds(Kind::kChunk, "pack 1 at " + std::to_string(location.offset_bytes), kFile, kAll);
  CHECK(damage.pack == PackId(1));
  CHECK(damage.offset_bytes == location.offset_bytes);
  CHECK(damage.chunk == id);
  CheckReadsEio("main", ino);
  CheckReadsEio("dev", ino);
  CHECK(Repair().corrupt.size() == 1);
  CheckReadsEio("main", ino);
}

TEST_CASE_FIXTURE(BrokenStore,
                  "a flipped bit in a chunk that one branch has pages of its own over") {
  Reopen();
  Write("dev", kFile, 0, std::string(kChunkBytes, 'x'));
  Close();
  FlipBit(PackFile(), ChunkOfFile(0).location.offset_bytes);
  CheckFinds(Kind::kChunk, "does not match its SHA-256", kFile, {"dev@then", "main"});
}

TEST_CASE_FIXTURE(BrokenStore,
                  "a flipped bit in a chunk that one branch has sealed pages of its own over") {
  Reopen();
  Write("dev", kFile, 0, std::string(kChunkBytes, 'x'));
  REQUIRE(store->bookmarks().Create(caller, "dev@later", "").ok());
  REQUIRE(store->upkeep().Seal(caller, std::chrono::seconds(0), [] { return true; })->layers > 0);
  Close();
  FlipBit(PackFile(), ChunkOfFile(0).location.offset_bytes);
  CheckFinds(Kind::kChunk, "does not match its SHA-256", kFile, {"dev@then", "main"});
}

TEST_CASE_FIXTURE(BrokenStore, "a flipped bit in a record header") {
  const auto [id, location] = ChunkOfFile(1);
  FlipBit(PackFile(), location.offset_bytes - kHeader + 20);
  CheckFinds(Kind::kRecord, "the header of chunk " + id.ToHex() + " is damaged", kFile, kAll);
  CheckReads("main", ino, main_content);  // the catalog has all that the header says
  const ScrubReport repaired = Repair();
  CHECK(repaired.corrupt.empty());
  CHECK(Mentions(repaired.repaired, "wrote the header at"));
  CheckIsClean();
  CheckReads("main", ino, main_content);
}

TEST_CASE_FIXTURE(BrokenStore, "a flipped bit in a pack's own header") {
  FlipBit(PackFile(), 17);
  CheckFinds(Kind::kPack, "pack 1 at 0");
  CHECK(Repair().corrupt.empty());
  CheckIsClean();
  CheckReads("main", ino, main_content);
}

TEST_CASE_FIXTURE(BrokenStore, "a truncated pack") {
  // The last record is cut in its payload, of whichever file that is.
  const uint64_t size = fs::file_size(PackFile());
  fs::resize_file(PackFile(), size - 1);
  const ScrubReport report = Scrub();
  REQUIRE(report.corrupt.size() == 1);
  CHECK(report.corrupt[0].kind == Kind::kChunk);
  REQUIRE(report.corrupt[0].files.size() == 1);
  Reopen();
  const InodeNumber damaged = Find("main", report.corrupt[0].files[0].path).ino;
  Close();
  CheckReadsEio("main", damaged);
  CHECK(Repair().corrupt.size() == 1);
  CHECK(fs::file_size(PackFile()) == size - 1);  // something refers to what is left
  CheckReadsEio("main", damaged);
}

TEST_CASE_FIXTURE(BrokenStore, "a torn tail of a pack that nothing refers to") {
  const uint64_t size = fs::file_size(PackFile());
  std::ofstream(PackFile(), std::ios::app | std::ios::binary) << "VCHK and then nothing more";
  CheckFinds(Kind::kPack, "pack 1 at " + std::to_string(size));
  CheckReads("main", ino, main_content);
  CHECK(Repair().corrupt.empty());
  CHECK(fs::file_size(PackFile()) == size);
  CheckIsClean();
}

TEST_CASE_FIXTURE(BrokenStore, "a missing pack") {
  fs::rename(PackFile(), scratch / "elsewhere");
  const ScrubReport report = Scrub();
  REQUIRE(report.corrupt.size() == 1);  // not one for each of its chunks
  CHECK(report.corrupt[0].what == "pack 1 is missing");
  const auto& files = report.corrupt[0].files;
  const auto file = std::find_if(files.begin(), files.end(),
                                 [](const DamagedFile& f) { return f.path == kFile; });
  REQUIRE(file != files.end());
  CHECK((file->names == kAll));
  CheckReadsEio("main", ino);
  CHECK(Repair().corrupt.size() == 1);
  CheckReadsEio("main", ino);
  fs::rename(scratch / "elsewhere", PackFile());
  CheckIsClean();
  CheckReads("main", ino, main_content);
}

TEST_CASE_FIXTURE(BrokenStore, "a missing page file of a file that its layer gave birth to") {
  fs::remove(LayerFile(frozen, new_ino));
  CheckFinds(Kind::kPageFile, "the page file is missing", "new", {"dev", "dev@then"});
  CheckReadsEio("dev", new_ino);
  CHECK(Repair().corrupt.size() == 1);
  CheckReadsEio("dev", new_ino);
}

TEST_CASE_FIXTURE(BrokenStore, "a missing page file of a file with content below") {
  fs::remove(LayerFile(head, ino));
  CheckFinds(Kind::kPageFile, "the page file is missing", kFile, {"dev"});
  CheckReadsEio("dev", ino);  // not what it inherits
  CHECK(Repair().corrupt.size() == 1);
  CheckReadsEio("dev", ino);
  CheckReads("main", ino, main_content);
}

TEST_CASE_FIXTURE(BrokenStore, "a page file cut short") {
  fs::resize_file(LayerFile(head, ino), 3 * kPageBytes);
  CheckFinds(Kind::kPageFile, "shorter than its map says", kFile, {"dev"});
  CheckReadsEio("dev", ino);
}

TEST_CASE_FIXTURE(BrokenStore, "a missing map") {
  LayerId layer = head;
  Names names = {"dev"};
  SUBCASE("in a head") {}
  SUBCASE("in a frozen layer") {
    layer = frozen;
    names = {"dev", "dev@then"};
  }
  fs::remove(LayerFile(layer, ino, ".map"));
  CheckFinds(Kind::kMap, "the page map is missing", kFile, names);
  CheckReadsEio("dev", ino);
  CHECK(Repair().corrupt.size() == 1);
  CheckReadsEio("dev", ino);
}

TEST_CASE_FIXTURE(BrokenStore, "a torn map") {
  FlipBit(LayerFile(frozen, ino, ".map"), 700);
  CheckFinds(Kind::kMap, "block 1 of the page map is damaged", kFile, {"dev", "dev@then"});
  CheckReadsEio("dev", ino);
  CHECK(Repair().corrupt.size() == 1);
  CheckReadsEio("dev", ino);
}

TEST_CASE_FIXTURE(BrokenStore, "the map of another layer") {
  fs::copy_file(LayerFile(frozen, ino, ".map"), LayerFile(head, ino, ".map"),
                fs::copy_options::overwrite_existing);
  CheckFinds(Kind::kMap, "the page map belongs to another file", kFile, {"dev"});
  CheckReadsEio("dev", ino);
  CHECK(Repair().corrupt.size() == 1);
  CheckReadsEio("dev", ino);
}

TEST_CASE_FIXTURE(BrokenStore, "a row of the chunk index that points elsewhere") {
  const auto row = ChunkOfFile(1);
  std::string set;
  SUBCASE("at another chunk") {
    set = "offset_bytes = " + std::to_string(ChunkOfFile(2).location.offset_bytes);
  }
  SUBCASE("at nothing") { set = "offset_bytes = 999999999"; }
  SUBCASE("at a pack that is none") { set = "pack = 77"; }
  Sql("UPDATE chunks SET " + set + " WHERE sha256 = x'" + row.id.ToHex() + "'");
  CheckFinds(Kind::kIndex, "but in pack 1 at " + std::to_string(row.location.offset_bytes), kFile,
             kAll);
  CheckReadsEio("main", ino);
  CHECK(Repair().corrupt.empty());
  CheckIsClean();
  CheckReads("main", ino, main_content);
}

TEST_CASE_FIXTURE(BrokenStore, "rows of the chunk index that are missing") {
  std::string which = " WHERE sha256 = x'" + ChunkOfFile(1).id.ToHex() + "'";
  SUBCASE("one") {}
  SUBCASE("all") { which = ""; }
  Sql("DELETE FROM chunks" + which);
  const ScrubReport report = Scrub();
  REQUIRE(report.corrupt.size() == 1);
  CHECK(report.corrupt[0].kind == Kind::kIndex);
  CHECK(report.corrupt[0].pack == PackId(1));
  CheckReadsEio("main", ino);
  CHECK(Repair().corrupt.empty());
  CheckIsClean();
  CheckReads("main", ino, main_content);
}

TEST_CASE_FIXTURE(BrokenStore, "a manifest that is missing") {
  Sql("DELETE FROM manifests WHERE ino = " + std::to_string(ino.value));
  CheckFinds(Kind::kCatalog, "the manifest of inode " + std::to_string(ino.value));
  CheckReadsEio("main", ino);  // not zeros
  CHECK(Repair().corrupt.size() == 1);
}

TEST_CASE_FIXTURE(BrokenStore, "a branch whose head is frozen") {
  Sql("UPDATE layers SET state = 2 WHERE id = " + std::to_string(head.value));
  CheckFinds(Kind::kCatalog, "branch \"dev\" stands on layer");
}

TEST_CASE_FIXTURE(BrokenStore, "layers and packs that an interrupted command left") {
  // Their numbers have been given, and their rows are gone.
  Sql("UPDATE sqlite_sequence SET seq = 50");
  WriteHostFile(root + "/layers/50/7", "pages");
  WriteHostFile(PackFile(50), "chunks");
  const ScrubReport report = Scrub();
  CHECK(report.corrupt.empty());
  CHECK(Mentions(report.left_over, "layer 50"));
  CHECK(Mentions(report.left_over, "pack 50"));
  CHECK(fs::exists(PackFile(50)));
  CHECK(Mentions(Scrub({.dry_run = true}).repaired, "would have: removed"));
  CHECK(fs::exists(root + "/layers/50/7"));
  Repair();
  CHECK_FALSE(fs::exists(root + "/layers/50"));
  CHECK_FALSE(fs::exists(PackFile(50)));
}

TEST_CASE_FIXTURE(BrokenStore, "a layer and a pack later than the catalog") {
  std::string path;
  SUBCASE("a layer") { path = "/layers/50/7"; }
  SUBCASE("a pack") { path = "/packs/50.pack"; }
  WriteHostFile(root + path, "somebody's");
  CheckFinds(Kind::kOrphan, " 50 is of a later catalog than this one");
  const auto opened = Store::Open(root);
  CHECK(opened.status().code() == Code::kCorrupt);
  CheckMessage(opened.status(), "its catalog is older than");
  CHECK(fs::exists(root + path));
  const ScrubReport repaired = Repair();
  CHECK(repaired.corrupt.empty());
  CHECK_FALSE(fs::exists(root + path));
  const fs::path aside = *fs::directory_iterator(root + "/lost+found");
  CHECK(ReadHostFile(aside.string() + path) == "somebody's");
  CheckReads("dev", ino, dev_content);
  Reopen();
  Clone("main", "next");
  Import("again");
  Close();
  Sql("CREATE TEMP TABLE t(x INTEGER CHECK(x > 50));"
      "INSERT INTO t SELECT max(id) FROM layers" +
      std::string(path.starts_with("/layers") ? "" : " WHERE 0; INSERT INTO t SELECT 51"));
}

TEST_CASE_FIXTURE(BrokenStore, "a daemon does not read what a scrub has found damaged") {
  Reopen();
  CHECK((MustRead("main", kFile) == main_content));  // verified now
  FlipBit(PackFile(), 64 + kHeader + 1000 + 0);
  const auto report = store::ScrubOpenStore(store->context(), {}, nullptr);
  REQUIRE(report.ok());
  REQUIRE(report->corrupt.size() == 1);
  const auto damaged = Find("main", report->corrupt[0].files.at(0).path);
  CHECK(TryRead("main", damaged.ino).status().error_number() == EIO);
}

TEST_CASE_FIXTURE(BrokenStore, "a scrub that is told to stop says so") {
  const auto report = ScrubClosedStore(root, {}, [](const ScrubProgress&) { return false; });
  CHECK(report.status().code() == Code::kFailed);
  CheckMessage(report.status(), "cancelled");
}

}  // namespace
}  // namespace velafs::store
