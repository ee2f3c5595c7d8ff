// `velafs audit ship` and `trim` as they are typed.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/api/data_directory.h"
#include "tests/cli/run_velafs.h"
#include "velafs/sql/database.h"

namespace velafs::test {
namespace {

using nlohmann::json;

struct ShipFixture {
  ShipFixture() {
    velafs.Done({"init"});
    velafs.Done({"import", "main", "--from-dir", MakeDataDirectory(velafs.scratch / "data")});
    Note("one");
  }
  void Note(const std::string& text) { velafs.Done({"note", "main", text}); }
  json Ship() { return velafs.Done({"audit", "ship", "--to", file}); }
  // The ids of the entries in the file, one a line.
  std::vector<uint64_t> Shipped() {
    std::vector<uint64_t> ids;
    std::istringstream lines(Velafs::Content(file));
    for (std::string line; std::getline(lines, line);) {
      const json entry = json::parse(line, nullptr, /*allow_exceptions=*/false);
      ids.push_back(entry.is_object() ? entry["id"].get<uint64_t>() : 0);
    }
    return ids;
  }
  void CheckRefused(int exit_status, const std::string& words) {
    const Outcome outcome = velafs({"audit", "ship", "--to", file});
    CHECK(outcome.exit_status == exit_status);
    CHECK_MESSAGE(outcome.err.find(words) != std::string::npos, outcome.err);
  }

  Velafs velafs;
  const std::string file = velafs.scratch / "audit.jsonl";
};

using Ids = std::vector<uint64_t>;

TEST_CASE_FIXTURE(ShipFixture, "a file gets each entry, and only what is new") {
  CHECK(Ship()["entries"] == 2);
  CHECK(Shipped() == Ids{1, 2});
  CHECK(Ship()["entries"] == 0);
  Note("two");
  CHECK(Ship()["entries"] == 1);
  CHECK(Shipped() == Ids{1, 2, 3});
  struct stat info {};
  REQUIRE(stat(file.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  // Moved away by whoever looks after logs: it goes on where it was.
  std::filesystem::remove(file);
  Note("three");
  CHECK(Ship()["entries"] == 1);
  CHECK(Shipped() == Ids{4});
}

TEST_CASE_FIXTURE(ShipFixture, "a line that was cut off is ended, and its entry comes again") {
  Ship();
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - 10);
  CHECK(Ship()["entries"] == 1);
  CHECK(Shipped() == Ids{1, 0, 2});
}

TEST_CASE_FIXTURE(ShipFixture, "a line that an interrupted call has ended does not stop the next") {
  Ship();
  SUBCASE("behind others") {
    std::filesystem::resize_file(file, std::filesystem::file_size(file) - 10);
    std::ofstream(file, std::ios::app) << "\n";
    CHECK(Ship()["entries"] == 1);
    CHECK(Shipped() == Ids{1, 0, 2});
  }
  SUBCASE("the only one") {
    std::filesystem::resize_file(file, 20);
    std::ofstream(file, std::ios::app) << "\n";
    Note("two");
    CHECK(Ship()["entries"] == 1);
    CHECK(Shipped() == Ids{0, 3});
  }
}

TEST_CASE_FIXTURE(ShipFixture, "what is no file, or has something else in it, gets nothing") {
  const std::string other = velafs.scratch / "other";
  std::ofstream(other) << "text\n";
  SUBCASE("a link") {
    std::filesystem::create_symlink(other, file);
    CheckRefused(4, "it is not a regular file");
  }
  SUBCASE("a FIFO") {
    REQUIRE(mkfifo(file.c_str(), 0600) == 0);
    CheckRefused(4, "it is not a regular file");
  }
  SUBCASE("a directory") {
    std::filesystem::create_directory(file);
    CheckRefused(4, "it is not a regular file");
  }
  SUBCASE("other lines") {
    std::filesystem::rename(other, file);
    CheckRefused(4, "it has lines, but no entry of a log");
    CHECK(Velafs::Content(file) == "text\n");
    return;
  }
  CHECK(Velafs::Content(other) == "text\n");
}

TEST_CASE_FIXTURE(ShipFixture, "a log that was made anew does not go on from what was shipped") {
  Ship();
  {
    auto database = sql::Database::Open(velafs.store() + "/catalog.db", 0);
    REQUIRE(database.ok());
    // All that somebody does who has the catalog, and the marks in it.
    const Status done = (*database)->Execute(
        "DROP TRIGGER audit_keeps_rows; DROP TRIGGER audit_keeps_fields; DELETE FROM audit_marks;"
        "DELETE FROM audit; UPDATE audit_head SET count = 0, hash = zeroblob(32)");
    REQUIRE_MESSAGE(done.ok(), done.message());
  }
  CheckRefused(6, "entry 2 was shipped and is missing");
  for (const char* text : {"a", "b", "c", "d"}) Note(text);
  CHECK(velafs({"audit", "verify"}).exit_status == 0);
  CheckRefused(6, "entry 2 is not the one that was shipped");
}

TEST_CASE_FIXTURE(ShipFixture, "standard output gets lines and nothing else") {
  const Outcome outcome = velafs({"audit", "ship", "--to", "-"});
  CHECK(outcome.exit_status == 0);
  CHECK(outcome.err.empty());
  std::istringstream lines(outcome.out);
  uint64_t count = 0;
  for (std::string line; std::getline(lines, line);) {
    const json entry = json::parse(line);
    CHECK(entry["id"] == ++count);
    CHECK(entry["at_ns"].is_number());
  }
  CHECK(count == 2);
}

TEST_CASE_FIXTURE(ShipFixture, "trimming waits for what is to be shipped") {
  Ship();
  Note("two");
  const Outcome outcome = velafs({"audit", "trim", "--max-entries", "1"});
  CHECK(outcome.exit_status == 0);
  CHECK(outcome.err.find("\"" + file + "\" has not received them yet") != std::string::npos);
  CHECK(outcome.out.find("trimmed 2 entries") != std::string::npos);
  velafs.Done({"audit", "ship", "--to", file, "--forget"});
  CHECK(velafs.Done({"audit", "trim", "--max-entries", "1"})["held_by"].is_null());
  CHECK(velafs.Done({"audit", "verify"})["entries"] == 1);
  CHECK(velafs({"audit", "trim"}).exit_status == 2);
}

}  // namespace
}  // namespace velafs::test
