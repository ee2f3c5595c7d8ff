// The commands that tell of a whole store, or of two branches: audit, stats, metrics, scrub, diff.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/api/data_directory.h"
#include "tests/cli/with_main.h"

namespace velafs::test {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

TEST_CASE_FIXTURE(WithMain, "entries shipped to standard output hold up no trimming") {
  CHECK_FALSE(velafs({"audit", "ship", "--to", "-"}).out.empty());
  CHECK(velafs.Done({"audit", "verify"})["shipped"].empty());
}

TEST_CASE_FIXTURE(WithMain, "the audit log is shown from a time on") {
  CHECK_FALSE(velafs.Done({"audit", "--since", "2h"})["entries"].empty());
  CHECK_FALSE(velafs.Done({"audit", "--since", "2h ago"})["entries"].empty());
  CHECK(velafs.Done({"audit", "--since", "2100-01-01 10:00"})["entries"].empty());
  CHECK(velafs({"audit", "--since", "soon"}).exit_status == 2);
}

TEST_CASE_FIXTURE(WithMain, "stats account for every byte of the store") {
  const json stats = velafs.Done({"stats"});
  uint64_t sum = 0;
  for (const auto& [part, bytes] : stats["disk_bytes"].items()) sum += bytes.get<uint64_t>();
  CHECK(stats["total_bytes"] == sum);
  CHECK(stats["disk_bytes"]["catalog"].get<uint64_t>() > 0);
  CHECK(sum > stats["stored_bytes"].get<uint64_t>());
}

TEST_CASE_FIXTURE(WithMain, "metrics replace a file at once") {
  const std::string path = velafs.scratch / "velafs.prom";
  CHECK(velafs({"metrics", "--to", path}).out == "wrote \"" + path + "\"\n");
  CHECK(Velafs::Content(path).find("\nvelafs_branches 1\n") != std::string::npos);
  CHECK(velafs({"metrics", "--to", velafs.scratch / "none/velafs.prom"}).exit_status == 1);
}

TEST_CASE_FIXTURE(WithMain, "stats count the store") {
  const json stats = velafs.Done({"stats"});
  CHECK(stats["branches"] == 1);
  CHECK(stats["bookmarks"] == 0);
  CHECK(stats["logical_bytes"] == 3 + 8192 + 100'000);
  CHECK(stats["chunk_count"].get<int>() > 0);
  CHECK(velafs({"stats"}).out.find("branches") != std::string::npos);
}

TEST_CASE_FIXTURE(WithMain, "metrics have a line for each number, and say what it is") {
  velafs.Done({"clone", "main", "dev", "--ttl", "2d", "--quota", "1G"});
  const Outcome text = velafs({"metrics"});
  CHECK(text.exit_status == 0);
  const auto has = [&](const std::string& line) {
    return ("\n" + text.out).find("\n" + line + "\n") != std::string::npos;
  };
  CHECK(has("# TYPE velafs_branches gauge"));
  CHECK(has("velafs_branches 2"));
  CHECK(has("velafs_mounted 0"));
  CHECK(has("velafs_branch_quota_bytes{branch=\"dev\"} 1073741824"));
  CHECK(has("velafs_branch_running{branch=\"main\"} 0"));
  CHECK(text.out.find("velafs_branch_expires_timestamp_seconds{branch=\"dev\"} ") !=
        std::string::npos);
  CHECK(text.out.find("velafs_branch_expires_timestamp_seconds{branch=\"main\"} ") ==
        std::string::npos);
  const json all = velafs.Done({"metrics"});
  CHECK(all["metrics"][2] ==
        json::parse(R"({"name": "velafs_branches", "help": "Branches", "type": "gauge",
                                            "samples": [{"labels": {}, "value": 2}]})"));
}

TEST_CASE_FIXTURE(WithMain,
                  "metrics tell of the disk, of the copies of the catalog and of scrubs") {
  const std::string text = velafs({"metrics"}).out;
  const auto number_of = [&](const std::string& name) {
    const size_t at = text.find("\n" + name + " ");
    return at == std::string::npos ? -1.0 : std::stod(text.substr(at + name.size() + 2));
  };
  CHECK(number_of("velafs_disk_size_bytes") > number_of("velafs_disk_free_bytes"));
  CHECK(number_of("velafs_disk_free_bytes") > 0);
  CHECK(number_of("velafs_part_bytes{part=\"catalog\"}") > 0);
  CHECK(number_of("velafs_catalog_copy_timestamp_seconds") > 1e9);
  CHECK(number_of("velafs_scrub_timestamp_seconds") == -1.0);  // there was none
  CHECK(number_of("velafs_daemon_memory_bytes") == -1.0);      // no daemon runs
}

TEST_CASE_FIXTURE(WithMain,
                  "scrub says what it checked, and is exit status 6 when there is damage") {
  const Outcome sound = velafs({"scrub"});
  CHECK(sound.exit_status == 0);
  CHECK(sound.out.starts_with("checked "));
  CHECK(sound.err.empty());
  const json report = velafs.Done({"scrub"});
  CHECK(report["corrupt"].empty());
  CHECK(report["chunks_checked"].get<int>() > 0);

  constexpr std::streamoff kFirstPayload = 64 + 64;  // behind the headers of pack and record
  std::fstream pack(velafs.store() + "/packs/1.pack",
                    std::ios::in | std::ios::out | std::ios::binary);
  pack.seekp(kFirstPayload);
  pack.put('\x7f');
  pack.close();
  const Outcome damaged = velafs({"scrub"});
  CHECK(damaged.exit_status == 6);
  CHECK(damaged.out.starts_with("damaged: pack 1 at "));
  CHECK(damaged.out.find(" of \"main\"\n") != std::string::npos);
  CHECK(damaged.err.find("is damaged in 1 place") != std::string::npos);
  CHECK(damaged.err.find("velafs: hint: ") != std::string::npos);
  const Outcome as_json = velafs({"scrub", "--json"});
  CHECK(as_json.exit_status == 6);
  const json found = as_json.Json()["corrupt"];
  REQUIRE(found.size() == 1);
  CHECK(found[0]["kind"] == "chunk");
  CHECK(found[0]["pack"] == 1);
  CHECK(found[0]["branch"] == "main");
  CHECK(velafs({"scrub", "--repair"}).exit_status == 6);
}

TEST_CASE_FIXTURE(WithMain, "without its catalog every command is exit status 6, but a repair") {
  for (const char* suffix : {"", "-wal", "-shm"}) {
    std::filesystem::remove(velafs.store() + "/catalog.db" + suffix);
  }
  for (const Words& words : std::vector<Words>{{"list"}, {"clone", "main", "b"}, {"mount"}}) {
    const Outcome refused = velafs(words);
    CAPTURE(words[0]);
    CHECK(refused.exit_status == 6);
    CHECK(refused.err.find("its catalog is missing") != std::string::npos);
    CHECK(refused.err.find("scrub") != std::string::npos);
  }
  CHECK(velafs({"scrub"}).exit_status == 6);
  CHECK(velafs({"scrub", "--dry-run"}).exit_status == 6);
  CHECK(velafs({"list"}).exit_status == 6);
  const Outcome repaired = velafs({"scrub", "--repair"});
  CHECK_MESSAGE(repaired.exit_status == 0, repaired.err);
  CHECK(repaired.out.starts_with("repaired: restored the catalog from the copy of "));
  CHECK(velafs.Done({"list"})["branches"].size() == 1);
}

TEST_CASE_FIXTURE(WithMain, "diff tells files and pages, and fails over a limit") {
  velafs.Done({"clone", "main", "dev"});
  const json same = velafs.Done({"diff", "main", "dev"});
  CHECK(same["files"] == json::array());
  CHECK(same["pages_changed"] == 0);
  CHECK(velafs({"diff", "main", "dev", "--fail-over", "0"}).exit_status == 0);

  MakeDataDirectory(data, 150'000);  // half as long again
  velafs.Done({"import", "later", "--from-dir", data});
  const json diff = velafs.Done({"diff", "main", "later"});
  CHECK(diff["files"] == json::array({{{"path", "base/1/1259"},
                                       {"change", "modified"},
                                       {"pages_changed", 7},
                                       {"bytes_changed", 150'000 - 12 * 8192},
                                       {"size_bytes", 150'000}}}));
  CHECK(diff["pages_changed"] == 7);
  CHECK(velafs({"diff", "main", "later"}).out ==
        "main and later differ in 7 pages (50.5 KiB) of 1 file\n"
        "base/1  7 pages  50.5 KiB  1 file\n"
        "  1259  7 pages  50.5 KiB  modified\n");
  CHECK(velafs({"diff", "main", "later", "--fail-over", "51K"}).exit_status == 0);
  const Outcome over = velafs({"--json", "diff", "main", "later", "--fail-over", "50K"});
  CHECK(over.exit_status == 1);
  CHECK(over.Json()["pages_changed"] == 7);
  CHECK(over.err ==
        "velafs: error: \"main\" and \"later\" differ in 50.5 KiB, over the limit of 50.0 KiB\n");
  CHECK(velafs({"diff", "main", "none"}).exit_status == 3);
}

}  // namespace
}  // namespace velafs::test
