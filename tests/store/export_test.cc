#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include <map>

#include "tests/store/store_fixture.h"
#include "velafs/catalog/catalog.h"
#include "velafs/store/bookmark_verbs.h"
#include "velafs/store/govern/govern_verbs.h"
#include "velafs/store/state_verbs.h"
#include "velafs/store/trash_verbs.h"

namespace velafs::store {
namespace {

using namespace test;

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

// The regular files of an archive; of a further name, what it is a name of.
std::map<std::string, std::string> FilesOfTar(const std::string& tar) {
  std::map<std::string, std::string> files;
  archive* reader = archive_read_new();
  archive_read_support_format_tar(reader);
  REQUIRE(archive_read_open_memory(reader, tar.data(), tar.size()) == ARCHIVE_OK);
  archive_entry* entry = nullptr;
  int result = ARCHIVE_OK;
  while ((result = archive_read_next_header(reader, &entry)) == ARCHIVE_OK) {
    std::string content;
    if (archive_entry_hardlink(entry) != nullptr) {
      content = std::string("-> ") + archive_entry_hardlink(entry);
    } else if (archive_entry_filetype(entry) != AE_IFREG) {
      continue;
    } else {
      content.resize(static_cast<size_t>(archive_entry_size(entry)));
      // Up to the hole at its end, if it has one.
      REQUIRE(archive_read_data(reader, content.data(), content.size()) >= 0);
    }
    CHECK_MESSAGE(files.emplace(archive_entry_pathname(entry), content).second,
                  archive_entry_pathname(entry));
  }
  CHECK(result == ARCHIVE_EOF);
  archive_read_free(reader);
  return files;
}

struct ExportFixture : StoreFixture {
  ExportFixture() { Import("main"); }

  Result<ExportResult> Export(const std::string& source, std::string* tar,
                              const std::function<void()>& at_first_piece = nullptr) {
    bool is_first = true;
    return store->states().Export(
        caller, source,
        [&](std::span<const std::byte> bytes) {
          if (std::exchange(is_first, false) && at_first_piece) at_first_piece();
          tar->append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
          return Status();
        },
        nullptr);
  }
  void WriteInto(const std::string& name, uint64_t at, const std::string& text) {
    const auto branch = store->volume().Open(name);
    REQUIRE(branch.ok());
    const auto file = (*branch)->Lookup((*branch)->root(), "PG_VERSION");
    REQUIRE(file.ok());
    REQUIRE((*branch)->Write(file->ino, at, Bytes(text)).ok());
  }
  // Of the catalog; the store is closed for it.
  size_t LayerCount() {
    REQUIRE(store->Close().ok());
    store.reset();
    size_t count = 0;
    {
      auto catalog = catalog::Catalog::Open(root + "/catalog.db");
      REQUIRE(catalog.ok());
      REQUIRE((*catalog)
                  ->Read([&](catalog::Reader& reader) -> Status {
                    VELAFS_ASSIGN(const auto layers, reader.Layers());
                    count = layers.size();
                    return {};
                  })
                  .ok());
    }
    Reopen();
    return count;
  }
};

TEST_CASE_FIXTURE(ExportFixture, "a tree deeper than any path goes is refused") {
  const auto branch = store->volume().Open("main");
  REQUIRE(branch.ok());
  InodeNumber at = (*branch)->root();
  for (int depth = 0; depth < 2100; ++depth) {
    const auto made = (*branch)->Make(at, "d", {.mode = S_IFDIR | 0700});
    REQUIRE(made.ok());
    at = made->ino;
  }
  std::string tar;
  const Status refused = Export("main", &tar).status();
  CHECK(refused.code() == Code::kRefused);
  CheckMessage(refused, "a path in it is longer than 4095 bytes");
}

TEST_CASE_FIXTURE(ExportFixture, "an archive has every file, and no postmaster.pid but others'") {
  const auto branch = store->volume().Open("main");
  REQUIRE(branch.ok());
  const InodeNumber root = (*branch)->root();
  REQUIRE((*branch)->Make(root, "postmaster.pid", {.mode = S_IFREG | 0600}).ok());
  const auto base = (*branch)->Lookup(root, "base");
  REQUIRE(base.ok());
  REQUIRE((*branch)->Make(base->ino, "postmaster.pid", {.mode = S_IFREG | 0600}).ok());
  const auto version = (*branch)->Lookup(root, "PG_VERSION");
  REQUIRE((*branch)->Link(version->ino, base->ino, "link").ok());

  std::string tar;
  const auto result = Export("main", &tar);
  REQUIRE_MESSAGE(result.ok(), result.status().message());
  CHECK(result->files == 5);
  CHECK(result->bytes == 3 + 11 + 8192 + 200'000);
  CHECK(FilesOfTar(tar) == std::map<std::string, std::string>{
                               {"PG_VERSION", "15\n"},
                               {"base/5/1259", Noise(200'000, 2)},
                               {"base/link", "-> PG_VERSION"},
                               {"base/postmaster.pid", ""},
                               {"global/pg_control", Noise(8192, 1)},
                               {"postgresql.conf", "# settings\n"},
                           });
}

TEST_CASE_FIXTURE(ExportFixture, "sockets and FIFOs are left out, and counted") {
  const auto branch = store->volume().Open("main");
  REQUIRE(branch.ok());
  const InodeNumber root = (*branch)->root();
  REQUIRE((*branch)->Make(root, ".s.PGSQL.5432", {.mode = S_IFSOCK | 0700}).ok());
  REQUIRE((*branch)->Make(root, "pipe", {.mode = S_IFIFO | 0600}).ok());
  std::string tar;
  const auto result = Export("main", &tar);
  REQUIRE_MESSAGE(result.ok(), result.status().message());
  CHECK(result->sockets_left_out == 2);
  const auto files = FilesOfTar(tar);
  CHECK_FALSE(files.contains(".s.PGSQL.5432"));
  CHECK_FALSE(files.contains("pipe"));
}

TEST_CASE_FIXTURE(ExportFixture, "holes are told as holes, wherever they are") {
  const auto branch = store->volume().Open("main");
  REQUIRE(branch.ok());
  std::map<std::string, std::string> expected;
  const auto add = [&](const std::string& name, std::string content, bool write_data) {
    const auto file = (*branch)->Make((*branch)->root(), name, {.mode = S_IFREG | 0600});
    REQUIRE(file.ok());
    REQUIRE((*branch)->Set(file->ino, {.size_bytes = content.size()}).ok());
    for (size_t at = 0; write_data && at < content.size(); at += kPageBytes) {
      const std::string page = content.substr(at, kPageBytes);
      if (page.find_first_not_of('\0') == std::string::npos) continue;
      REQUIRE((*branch)->Write(file->ino, at, Bytes(page)).ok());
    }
    expected[name] = std::move(content);
  };
  const std::string hole(1024 * 1024, '\0');
  add("all", hole + hole + "\0", false);
  add("front", hole + Noise(10'000, 1), true);
  add("back", Noise(kPageBytes, 2) + hole, true);
  add("middle", Noise(kPageBytes, 3) + hole + Noise(5, 4), true);
  add("small", Noise(kPageBytes, 5) + std::string(kPageBytes, '\0') + Noise(kPageBytes, 6), true);
  add("nothing", "", true);

  std::string tar;
  REQUIRE(Export("main", &tar).ok());
  CHECK(tar.size() < 400'000);
  const auto files = FilesOfTar(tar);
  for (const auto& file : expected) CHECK_MESSAGE(files.at(file.first) == file.second, file.first);
}

TEST_CASE_FIXTURE(ExportFixture, "an export is of one moment, whatever becomes of the branch") {
  Clone("main", "dev");
  WriteInto("dev", 0, "16\n");
  std::string tar;
  const auto result = Export("dev", &tar, [this] {
    WriteInto("dev", 0, "17\n");
    REQUIRE(store->trash().Delete(caller, "dev", {.purge = true}).ok());
  });
  REQUIRE_MESSAGE(result.ok(), result.status().message());
  CHECK(FilesOfTar(tar)["PG_VERSION"] == "16\n");
  CHECK(LayerCount() == 2);  // main's
}

TEST_CASE_FIXTURE(ExportFixture, "a bookmark is exported, and holds no more than before") {
  REQUIRE(store->bookmarks().Create(caller, "main@then", "").ok());
  WriteInto("main", 0, "16\n");
  const size_t before = LayerCount();
  std::string tar;
  REQUIRE(Export("main@then", &tar).ok());
  CHECK(FilesOfTar(tar)["PG_VERSION"] == "15\n");
  CHECK(LayerCount() == before);
}

TEST_CASE_FIXTURE(ExportFixture,
                  "a failed sink ends an export with its failure, and all is let go") {
  Clone("main", "dev");
  const size_t before = LayerCount();
  const auto result = store->states().Export(
      caller, "dev", [](std::span<const std::byte>) { return Failed("the pipe broke"); }, nullptr);
  CHECK(result.status().message() == "cannot export \"dev\": the pipe broke");
  CHECK(LayerCount() == before);
  const auto cancelled = store->states().Export(
      caller, "dev", [](std::span<const std::byte>) { return Status(); },
      [](const ExportProgress&) { return false; });
  CHECK(cancelled.status().message() == "cannot export \"dev\": cancelled");
  CHECK(LayerCount() == before);
}

TEST_CASE_FIXTURE(ExportFixture, "the death of the process lets go of what was exported") {
  Clone("main", "dev");
  WriteInto("dev", 0, "16\n");
  const fs::path copy = scratch / "dead";
  std::string tar;
  REQUIRE(Export("dev", &tar, [&] {
            REQUIRE(store->trash().Delete(caller, "dev", {.purge = true}).ok());
            fs::copy(root, copy, fs::copy_options::recursive);
          }).ok());
  store.reset();
  fs::remove(copy / "run/lock");
  auto opened = store::Store::Open(copy.string());
  REQUIRE_MESSAGE(opened.ok(), opened.status().message());
  REQUIRE((*opened)->Close().ok());
  opened = Failed("closed");
  auto catalog = catalog::Catalog::Open((copy / "catalog.db").string());
  REQUIRE(catalog.ok());
  REQUIRE((*catalog)
              ->Read([](catalog::Reader& reader) -> Status {
                VELAFS_ASSIGN(const auto layers, reader.Layers());
                CHECK(layers.size() == 2);  // main's
                return {};
              })
              .ok());
  Reopen();
}

TEST_CASE_FIXTURE(ExportFixture, "an export is refused to those who may not clone the branch") {
  std::string tar;
  CHECK(Export("none", &tar).status().code() == Code::kNotFound);
  CHECK(Export("main@none", &tar).status().code() == Code::kNotFound);
  REQUIRE(store->governance()
              .SetPolicies(catalog::SettingScope::kStore, {}, {{"approved_sources_only", "on"}})
              .ok());
  const Caller stranger{4242, "stranger"};
  const auto refused = store->states().Export(
      stranger, "main", [](std::span<const std::byte>) { return Failed("never called"); }, nullptr);
  CHECK(refused.status().code() == Code::kRefused);
}

}  // namespace
}  // namespace velafs::store
