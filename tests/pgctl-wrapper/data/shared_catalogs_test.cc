#include "pgctl-wrapper/data/shared_catalogs.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "pgctl-wrapper/process/text_file.h"

using namespace velafs;
using namespace velafs::pgctl;

namespace {

using Names = std::vector<std::string>;

constexpr uint16_t kFrozen = 0x0300;
constexpr uint16_t kAborted = 0x0200;
constexpr uint16_t kCommitted = 0x0100;
constexpr uint16_t kDeleted = 0x0400;
constexpr uint16_t kKept = 0x0800;

struct Row {
  uint32_t oid;
  const char* name;
  uint16_t flags = kFrozen | kKept;
  uint32_t deleted_by = 0;
  bool superuser = false;
  bool may_log_in = true;
};

template <typename Number>
void Put(std::string* page, size_t offset, Number number) {
  std::memcpy(page->data() + offset, &number, sizeof number);
}

std::string PageOf(const std::vector<Row>& rows) {
  constexpr size_t kPageBytes = 8192;
  constexpr size_t kRowBytes = 128;
  std::string page(kPageBytes, 0);
  Put(&page, 12, static_cast<uint16_t>(24 + 4 * rows.size()));
  Put(&page, 18, uint16_t{0x2004});
  size_t at = kPageBytes;
  for (size_t i = 0; i < rows.size(); ++i) {
    at -= kRowBytes;
    Put(&page, 24 + 4 * i, static_cast<uint32_t>(at | (1U << 15) | (kRowBytes << 17)));
    Put(&page, at + 4, rows[i].deleted_by);
    Put(&page, at + 20, rows[i].flags);
    page[at + 22] = 24;
    Put(&page, at + 24, rows[i].oid);
    std::strcpy(page.data() + at + 28, rows[i].name);
    page[at + 24 + 68] = rows[i].superuser;
    page[at + 24 + 72] = rows[i].may_log_in;
  }
  return page;
}

struct Branch {
  Branch() : dir(std::filesystem::temp_directory_path() / ("roles-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(dir / "global");
    const uint32_t numbers[] = {0x592717, 2, 1260, 9000, 1262, 9001};
    std::string map(sizeof numbers, 0);
    std::memcpy(map.data(), numbers, sizeof numbers);
    REQUIRE(WriteTextFile(dir / "global/pg_filenode.map", map).ok());
  }
  ~Branch() { std::filesystem::remove_all(dir); }
  std::filesystem::path dir;
};

}  // namespace

TEST_CASE("the superuser that initdb made is found whatever its name") {
  CHECK(BootstrapRolesIn(PageOf({{16384, "web"}, {10, "app"}, {6171, "pg_database_owner"}})) ==
        Names{"app"});
  CHECK(BootstrapRolesIn(std::string(8192, 0) + PageOf({{10, "late"}})) == Names{"late"});
  CHECK(BootstrapRolesIn("").empty());
}

TEST_CASE("of a role that was renamed the newest name counts") {
  SUBCASE("the old row is known to be dead") {
    CHECK(BootstrapRolesIn(PageOf({{10, "old", kFrozen | kDeleted, 740},
                                   {10, "new", kCommitted | kKept}})) == Names{"new"});
  }
  SUBCASE("the renaming was rolled back") {
    CHECK(BootstrapRolesIn(PageOf({{10, "old", kFrozen, 740}, {10, "new", kAborted | kKept}})) ==
          Names{"old"});
  }
  SUBCASE("the file does not say") {
    CHECK(BootstrapRolesIn(PageOf({{10, "old", kFrozen, 740}, {10, "new", kKept}})) ==
          Names{"new", "old"});
  }
  SUBCASE("another change of the role keeps its name") {
    CHECK(BootstrapRolesIn(PageOf({{10, "app", kFrozen, 740}, {10, "app", kKept}})) ==
          Names{"app"});
  }
}

TEST_CASE("where that superuser may not log in, another one is named first") {
  CHECK(BootstrapRolesIn(PageOf({{10, "postgres", kFrozen | kKept, 0, true, false},
                                 {16384, "web", kFrozen | kKept, 0, false, true},
                                 {16385, "locked", kFrozen | kKept, 0, true, false},
                                 {16386, "dba", kFrozen | kKept, 0, true, true}})) ==
        Names{"dba", "postgres"});
}

TEST_CASE("a file with more names of that superuser than it can have names nobody") {
  std::string content;
  for (int i = 0; i < 20'000; ++i) {
    content += PageOf({{10, ("x" + std::to_string(i)).c_str(), kCommitted | kKept}});
  }
  CHECK(BootstrapRolesIn(content.substr(0, 16 * 8192)).size() == 16);
  CHECK(BootstrapRolesIn(content).empty());
}

TEST_CASE("of many superusers some are named") {
  std::string content = PageOf({{10, "postgres", kFrozen | kKept, 0, true, false}});
  for (uint32_t i = 0; i < 100; ++i) {
    content += PageOf({{20000 + i, ("x" + std::to_string(i)).c_str(), kFrozen, 0, true, true}});
  }
  const Names names = BootstrapRolesIn(content);
  CHECK(names.size() == 16);
  CHECK(names.front() == "x0");
}

TEST_CASE("a damaged page names nobody") {
  std::string page = PageOf({{10, "app"}});
  SUBCASE("its size is another") { Put(&page, 18, uint16_t{0x4004}); }
  SUBCASE("a row lies outside") { Put(&page, 24, uint32_t{8190 | (1U << 15) | (128U << 17)}); }
  SUBCASE("it is cut off") { page.resize(8000); }
  CHECK(BootstrapRolesIn(page).empty());
}

TEST_CASE_FIXTURE(Branch, "roles and databases are read from the files") {
  CHECK(!RoleNames(dir));
  CHECK(BootstrapRoles(dir).empty());
  REQUIRE(WriteTextFile(dir / "global/9000",
                        PageOf({{10, "app"}, {16390, "web"}, {3373, "pg_monitor"}}))
              .ok());
  REQUIRE(WriteTextFile(dir / "global/9001", PageOf({{5, "postgres"},
                                                     {16400, "gone", kCommitted | kDeleted, 741},
                                                     {1, "template1"}}))
              .ok());
  CHECK(BootstrapRoles(dir) == Names{"app"});
  CHECK(RoleNames(dir) == Names{"app", "web"});
  CHECK(DatabaseNames(dir) == Names{"postgres", "template1"});
}

TEST_CASE_FIXTURE(Branch, "a database that somebody drops, or has dropped, does not last") {
  REQUIRE(
      WriteTextFile(dir / "global/9001", PageOf({{16400, "moved", kCommitted, 741},
                                                 {16400, "moved"},
                                                 {5, "dropping", kCommitted, 742},
                                                 {16401, "dropped", kCommitted | kDeleted, 743}}))
          .ok());
  CHECK(IsLastingDatabase(dir, "moved"));
  for (const char* name : {"dropping", "dropped", "never"}) CHECK(!IsLastingDatabase(dir, name));
}
