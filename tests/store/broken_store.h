// A store in which something is then broken by hand, as a bad disk or a slip would.
#pragma once

#include <sqlite3.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/store/store_fixture.h"
#include "velafs/chunk/packs.h"
#include "velafs/store/bookmark_verbs.h"
#include "velafs/store/scrub/scrub.h"

namespace velafs::test {

// Branch "main", imported; clone "dev" with a page of base/5/1259 and a file "new" of its own,
// frozen under bookmark "dev@then"; and a page of base/5/1259 written in the head of "dev" since.
struct BrokenStore : StoreFixture {
  static constexpr char kFile[] = "base/5/1259";  // 200,000 bytes: four chunks
  static constexpr uint64_t kHeader = chunk::kRecordHeaderBytes;

  BrokenStore() {
    Import("main");
    Clone("main", "dev");
    Write("dev", kFile, 0, std::string(kPageBytes, 'd'));
    MakeNew();
    REQUIRE(store->bookmarks().Create(caller, "dev@then", "").ok());
    Write("dev", kFile, 2 * kPageBytes, std::string(kPageBytes, 'e'));
    frozen = BookmarkLayer();
    head = HeadOf("dev");
    main_content = MustRead("main", kFile);
    dev_content = MustRead("dev", kFile);
    ino = Find("main", kFile).ino;
    new_ino = Find("dev", "new").ino;
    Close();
  }

  void Close() {
    const Status closed = store->Close();
    REQUIRE_MESSAGE(closed.ok(), closed.message());
    store.reset();
  }

  // In branches; the store must be open.
  layer::Attributes Find(const std::string& branch_name, const std::string& path) {
    auto branch = store->volume().Open(branch_name);
    REQUIRE(branch.ok());
    auto at = (*branch)->Get((*branch)->root());
    for (const auto& part : fs::path(path)) {
      REQUIRE(at.ok());
      at = (*branch)->Lookup(at->ino, part.string());
    }
    REQUIRE_MESSAGE(at.ok(), at.status().message());
    return *at;
  }
  void Write(const std::string& branch, const std::string& path, uint64_t offset,
             const std::string& data) {
    const auto file = Find(branch, path);
    const Status written =
        (*store->volume().Open(branch))->Write(file.ino, offset, std::as_bytes(std::span(data)));
    REQUIRE_MESSAGE(written.ok(), written.message());
  }
  void MakeNew() {
    const auto branch = *store->volume().Open("dev");
    const auto made = branch->Make(branch->root(), "new", {.mode = S_IFREG | 0600});
    REQUIRE(made.ok());
    Write("dev", "new", 0, "of dev alone");
  }
  // A file by its inode: its name may be in a directory that cannot be listed.
  Result<std::string> TryRead(const std::string& branch_name, InodeNumber number) {
    VELAFS_ASSIGN(const auto branch, store->volume().Open(branch_name));
    VELAFS_ASSIGN(const auto file, branch->Get(number));
    std::string bytes(file.size_bytes, '?');
    VELAFS_ASSIGN(const size_t got,
                  branch->Read(number, 0, std::as_writable_bytes(std::span(bytes))));
    bytes.resize(got);
    return bytes;
  }
  std::string MustRead(const std::string& branch, const std::string& path) {
    return ReadBranchFile(**store->volume().Open(branch), Find(branch, path));
  }
  Result<std::string> ReadAfterOpening(const std::string& branch, InodeNumber number) {
    Reopen();
    Result<std::string> read = TryRead(branch, number);
    Close();
    return read;
  }
  void CheckReadsEio(const std::string& branch, InodeNumber number) {
    const auto read = ReadAfterOpening(branch, number);
    CHECK(read.status().code() == Code::kCorrupt);
    CHECK(read.status().error_number() == EIO);
  }
  void CheckReads(const std::string& branch, InodeNumber number, const std::string& content) {
    const auto read = ReadAfterOpening(branch, number);
    REQUIRE_MESSAGE(read.ok(), read.status().message());
    CHECK((*read == content));
  }

  // On disk; the store must be closed.
  std::string PackFile(uint64_t pack = 1) const {
    return root + "/packs/" + std::to_string(pack) + ".pack";
  }
  std::string LayerFile(LayerId layer, InodeNumber number, const std::string& suffix = "") const {
    return root + "/layers/" + std::to_string(layer.value) + "/" + std::to_string(number.value) +
           suffix;
  }
  std::string CatalogFile() const { return root + "/catalog.db"; }
  static void FlipBit(const std::string& path, uint64_t offset) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    const char byte = static_cast<char>(file.get() ^ 0x10);
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(byte);
    REQUIRE(file.good());
  }
  void Sql(const std::string& text) {
    sqlite3* handle = nullptr;
    REQUIRE(sqlite3_open(CatalogFile().c_str(), &handle) == SQLITE_OK);
    char* message = nullptr;
    sqlite3_exec(handle, text.c_str(), nullptr, nullptr, &message);
    CHECK_MESSAGE(message == nullptr, message);
    sqlite3_free(message);
    REQUIRE(sqlite3_close(handle) == SQLITE_OK);
  }
  // What stands in the catalog of chunk `index` of base/5/1259.
  catalog::Reader::ChunkRow ChunkOfFile(size_t index) {
    catalog::Reader::ChunkRow row;
    const auto catalog = catalog::Catalog::Open(CatalogFile());
    REQUIRE(catalog.ok());
    const Status read = (*catalog)->Read([&](catalog::Reader& reader) -> Status {
      VELAFS_ASSIGN(const auto part, reader.ManifestPart(LayerId(1), ino, 0));
      row.id = part->chunks.at(index);
      VELAFS_ASSIGN(const auto location, reader.Chunk(row.id));
      row.location = *location;
      return {};
    });
    REQUIRE_MESSAGE(read.ok(), read.message());
    return row;
  }
  LayerId BookmarkLayer() { return FromCatalog("dev", true); }
  LayerId HeadOf(const std::string& branch) { return FromCatalog(branch, false); }

  store::ScrubReport Scrub(const store::ScrubOptions& options = {}) {
    const auto report = store::ScrubClosedStore(root, options, nullptr);
    REQUIRE_MESSAGE(report.ok(), report.status().message());
    return *report;
  }
  store::ScrubReport Repair() { return Scrub({.repair = true}); }
  void CheckIsClean() {
    const store::ScrubReport report = Scrub();
    for (const store::Damage& damage : report.corrupt) CHECK_MESSAGE(false, damage.what);
  }
  // The one damage found: of that kind, with those words, in that file of those branches.
  store::Damage CheckFinds(store::Damage::Kind kind, const std::string& words,
                           const std::string& file = "",
                           const std::vector<std::string>& names = {}) {
    return CheckHas(Scrub(), kind, words, file, names);
  }
  static store::Damage CheckHas(const store::ScrubReport& report, store::Damage::Kind kind,
                                const std::string& words, const std::string& file = "",
                                const std::vector<std::string>& names = {}) {
    for (const store::Damage& damage : report.corrupt) INFO(damage.what);
    REQUIRE(report.corrupt.size() == 1);
    const store::Damage& damage = report.corrupt[0];
    CHECK(std::string(store::DamageKindName(damage.kind)) == store::DamageKindName(kind));
    CHECK_MESSAGE(damage.what.find(words) != std::string::npos, damage.what);
    if (file.empty()) {
      CHECK(damage.files.empty());
    } else {
      REQUIRE(damage.files.size() == 1);
      CHECK(damage.files[0].path == file);
      CHECK((damage.files[0].names == names));
    }
    return damage;
  }

  LayerId frozen;
  LayerId head;         // of "dev"
  InodeNumber ino;      // of base/5/1259
  InodeNumber new_ino;  // of "new"
  std::string main_content;
  std::string dev_content;

 private:
  LayerId FromCatalog(const std::string& branch, bool of_bookmark) {
    Close();
    LayerId layer;
    {
      const auto catalog = catalog::Catalog::Open(CatalogFile());
      REQUIRE(catalog.ok());
      const Status read = (*catalog)->Read([&](catalog::Reader& reader) -> Status {
        VELAFS_ASSIGN(const auto row, reader.Branch(branch));
        layer = row->head;
        if (!of_bookmark) return {};
        VELAFS_ASSIGN(const auto bookmark, reader.Bookmark(row->id, "then"));
        layer = bookmark->layer;
        return {};
      });
      REQUIRE(read.ok());
    }
    Reopen();
    return layer;
  }
};

}  // namespace velafs::test
