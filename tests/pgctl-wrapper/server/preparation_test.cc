#include "pgctl-wrapper/server/preparation.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "pgctl-wrapper/process/text_file.h"

using namespace velafs;
using namespace velafs::pgctl;

namespace {

// A page of pg_db_role_setting with one row, whose settings begin with that byte.
std::string PageWith(unsigned char first, const std::string& settings) {
  std::string page(8192, 0);
  const auto put = [&page](size_t offset, auto number) {
    std::memcpy(page.data() + offset, &number, sizeof number);
  };
  const auto row = static_cast<uint32_t>(8192 - 256);
  put(12, uint16_t{28});
  put(18, uint16_t{0x2004});
  put(24, row | (1U << 15) | (128U << 17));
  page[row + 22] = 24;
  page[row + 32] = static_cast<char>(first);
  page.replace(row + 36, settings.size(), settings);
  return page;
}

struct PreparationFixture {
  PreparationFixture()
      : dir(std::filesystem::temp_directory_path() / ("prep-" + std::to_string(getpid()))) {
    for (const char* name : {"global", "pg_replslot", "pg_twophase", "base/5", "outside"}) {
      std::filesystem::create_directories(dir / name);
    }
  }
  ~PreparationFixture() { std::filesystem::remove_all(dir); }

  void Make(const std::string& name, const std::string& text = "") {
    REQUIRE(WriteTextFile(dir / name, text).ok());
  }
  // Of the catalogs that are looked at.
  void MakeMap() {
    const uint32_t numbers[] = {0x592717, 2, 6100, 9000, 2964, 9001};
    std::string map(sizeof numbers, 0);
    std::memcpy(map.data(), numbers, sizeof numbers);
    Make("global/pg_filenode.map", map);
    for (const char* file : {"global/9000", "global/9001"}) Make(file);
  }
  void MakeSlot(const std::string& name, uint32_t database) {
    std::filesystem::create_directory(dir / "pg_replslot" / name);
    std::string state(200, 0);
    std::memcpy(state.data() + 80, &database, sizeof database);
    Make("pg_replslot/" + name + "/state", state);
  }

  std::filesystem::path dir;
};

}  // namespace

TEST_CASE_FIXTURE(PreparationFixture, "empty catalogs need no server to be known as such") {
  MakeMap();
  CHECK_FALSE(MayNeedPreparation(dir));
  Make("global/9000", "a page");
  CHECK(MayHaveSubscriptions(dir));
  CHECK(MayNeedPreparation(dir));
  Make("global/9000");
  Make("global/9001", PageWith(0x40, "search_path=x"));
  CHECK_FALSE(MayNeedPreparation(dir));
  Make("global/9001", PageWith(0x40, "session_preload_libraries=x"));
  CHECK(MayNeedPreparation(dir));
}

TEST_CASE_FIXTURE(PreparationFixture,
                  "settings that cannot be read without a server are sent to one") {
  MakeMap();
  const auto may_need = [this](const std::string& content) {
    Make("global/9001", content);
    return MayNeedPreparation(dir);
  };
  CHECK_FALSE(may_need(PageWith(0x1b, "short, x=1")));
  CHECK_FALSE(may_need(std::string(8192, 0) + PageWith(0x40, "plain")));
  CHECK(may_need(PageWith(0x42, "compressed")));
  CHECK(may_need(PageWith(0x01, "in another file")));
  CHECK(may_need(PageWith(0x40, "plain") + PageWith(0x42, "compressed")));
  std::string page = PageWith(0x40, "plain");
  CHECK(may_need(page.substr(1)));
  page[24] = page[25] = '\xff';  // a row beyond the page's end
  CHECK(may_need(page));
  page = PageWith(0x40, "plain");
  page[13] = '\x7f';  // pointers, too
  CHECK(may_need(page));
}

TEST_CASE_FIXTURE(PreparationFixture, "catalogs that cannot be found count as filled") {
  CHECK(MayNeedPreparation(dir));
  MakeMap();
  std::filesystem::remove(dir / "global/9000");
  CHECK(MayNeedPreparation(dir));
  Make("global/pg_filenode.map", "something else, and long enough");
  CHECK(MayNeedPreparation(dir));
  const uint32_t too_many[] = {0x592717, 0xffffffff};
  Make("global/pg_filenode.map", std::string(reinterpret_cast<const char*>(too_many), 8));
  CHECK(MayNeedPreparation(dir));
}

TEST_CASE_FIXTURE(PreparationFixture,
                  "replication slots are removed by their kind, and no link is followed") {
  MakeSlot("physical", 0);
  MakeSlot("logical", 5);
  Make("outside/state", "somebody's");
  std::filesystem::create_directory_symlink(dir / "outside", dir / "pg_replslot/link");
  Preparation report;
  REQUIRE(RemoveReplicationSlots(dir, &report).ok());
  CHECK(std::filesystem::is_empty(dir / "pg_replslot"));
  CHECK(std::filesystem::exists(dir / "outside/state"));
  CHECK(report.neutralised.size() == 3);
  bool told = false;
  for (const std::string& warning : report.warnings) {
    told = told || warning.find("logical replication slot \"logical\"") != std::string::npos;
  }
  CHECK(told);
  Preparation again;
  REQUIRE(RemoveReplicationSlots(dir, &again).ok());
  CHECK(again.neutralised.empty());
}

TEST_CASE_FIXTURE(PreparationFixture, "a directory of slots that is a link is left alone") {
  std::filesystem::remove(dir / "pg_replslot");
  Make("outside/state", "somebody's");
  std::filesystem::create_directory_symlink(dir / "outside", dir / "pg_replslot");
  Preparation report;
  REQUIRE(RemoveReplicationSlots(dir, &report).ok());
  CHECK(std::filesystem::exists(dir / "outside/state"));
}

TEST_CASE_FIXTURE(PreparationFixture, "what was done holds for one life of a branch") {
  const RunDir run_dir{dir, dir};
  PreparedMarker marker = PreparedMarker::Read(run_dir, 7);
  CHECK_FALSE(marker.slots_removed());
  REQUIRE(marker.RecordSlotsRemoved().ok());
  CHECK(PreparedMarker::Read(run_dir, 7).slots_removed());
  CHECK_FALSE(PreparedMarker::Read(run_dir, 7).catalog_prepared());
  REQUIRE(marker.RecordCatalogPrepared().ok());
  CHECK(PreparedMarker::Read(run_dir, 7).catalog_prepared());
  CHECK(PreparedMarker::Read(run_dir, 7).slots_removed());
  CHECK_FALSE(PreparedMarker::Read(run_dir, 8).slots_removed());
  Make("prepared", "damaged slots catalog");
  CHECK_FALSE(PreparedMarker::Read(run_dir, 7).slots_removed());
}

TEST_CASE_FIXTURE(PreparationFixture, "prepared transactions are counted, foreign servers seen") {
  CHECK(CountPreparedTransactions(dir) == 0);
  Make("pg_twophase/00000123", "x");
  CHECK(CountPreparedTransactions(dir) == 1);
  Make("base/5/1417");
  CHECK_FALSE(MayHaveForeignServers(dir));
  Make("base/5/1417", "a page");
  CHECK(MayHaveForeignServers(dir));
}

TEST_CASE("any bytes become a text of SQL without a quote of theirs") {
  CHECK(SqlText("a'\n;").find("decode('61270a3b', 'hex')") != std::string::npos);
}

TEST_CASE("any bytes become a literal of SQL on one line") {
  CHECK(SqlLiteral("a'\n\\") == "E'\\x61\\x27\\x0a\\x5c'");
}

TEST_CASE_FIXTURE(PreparationFixture, "a prepared transaction needs a server to be taken away") {
  MakeMap();
  Make("pg_twophase/0000000000000123", "x");
  CHECK(MayNeedPreparation(dir));
}
