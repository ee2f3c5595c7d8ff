#include "velafs/store/recovery.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <vector>

#include "tests/os/scratch_directory.h"
#include "tests/store/hooked_storage.h"

namespace velafs::store {
namespace {

// A catalog with a pack that was not published, and its file.
struct RecoveryFixture {
  RecoveryFixture() {
    REQUIRE(os::HostStorage().MakeDirectory(packs_directory, 0700).ok());
    REQUIRE(catalog::Catalog::Create(scratch / "catalog.db").ok());
    auto opened = catalog::Catalog::Open(scratch / "catalog.db");
    REQUIRE(opened.ok());
    catalog = *std::move(opened);
    const auto add = [&](catalog::Writer& writer) -> Status {
      VELAFS_ASSIGN(pack, writer.AddPack());
      return {};
    };
    REQUIRE(catalog->Write(add).ok());
    const auto writer = chunk::PackWriter::Create(os::HostStorage(), packs_directory, pack);
    REQUIRE(writer.ok());
    REQUIRE((*writer)->Finish().ok());
  }

  size_t PackRows() {
    size_t rows = 0;
    const auto count = [&](catalog::Reader& reader) -> Status {
      VELAFS_ASSIGN(const auto packs, reader.Packs());
      rows = packs.size();
      return {};
    };
    REQUIRE(catalog->Read(count).ok());
    return rows;
  }
  size_t PackFiles() { return os::HostStorage().List(packs_directory)->size(); }

  test::ScratchDirectory scratch;
  const std::string packs_directory = scratch / "packs";
  chunk::PackReader packs{os::HostStorage(), packs_directory};
  std::unique_ptr<catalog::Catalog> catalog;
  PackId pack;
};

TEST_CASE_FIXTURE(RecoveryFixture, "a pack's row goes once its file has, so that it can be found") {
  bool fails = true;
  size_t rows_then = 0;
  test::HookedStorage storage([&](const std::string&) {
    rows_then = PackRows();
    return fails ? Errno(EIO) : Status();
  });
  const auto remove = [&] {
    return RemoveImport(storage, *catalog, packs, packs_directory, LayerId(), {&pack, 1});
  };
  CHECK(remove().error_number() == EIO);
  CHECK(rows_then == 1);
  CHECK(PackRows() == 1);
  CHECK(PackFiles() == 1);
  fails = false;
  CHECK(remove().ok());
  CHECK(PackRows() == 0);
  CHECK(PackFiles() == 0);
}

TEST_CASE_FIXTURE(RecoveryFixture, "what is left of an import goes, wherever its removal ended") {
  const auto recover = [&] {
    return RecoverImports(os::HostStorage(), *catalog, packs, packs_directory);
  };
  SUBCASE("before it began") {}
  SUBCASE("with the file gone, and the row not") {
    REQUIRE(os::HostStorage().RemoveFile(chunk::PackPath(packs_directory, pack)).ok());
  }
  SUBCASE("with the row gone, and the file not, as a lost transaction leaves it") {
    const auto remove = [&](catalog::Writer& writer) { return writer.RemovePack(pack); };
    REQUIRE(catalog->Write(remove).ok());
  }
  CHECK(recover().ok());
  CHECK(PackRows() == 0);
  CHECK(PackFiles() == 0);
}

}  // namespace
}  // namespace velafs::store
