// What all commands have in common, and imports, without a mount.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/api/data_directory.h"
#include "tests/cli/with_main.h"
#include "velafs/api/version.h"

namespace velafs::test {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

TEST_CASE("the version is one line") {
  const Outcome outcome = Velafs().RunAs({"--version"});
  CHECK(outcome.exit_status == 0);
  CHECK(outcome.out == std::string("velafs ") + api::kVersion + "\n");
}

TEST_CASE("every command's help has an example") {
  const Velafs velafs;
  for (const Words& command : std::vector<Words>{{},
                                                 {"init"},
                                                 {"import"},
                                                 {"mount"},
                                                 {"umount"},
                                                 {"clone"},
                                                 {"list"},
                                                 {"tree"},
                                                 {"show"},
                                                 {"reset"},
                                                 {"promote"},
                                                 {"rename"},
                                                 {"delete"},
                                                 {"undelete"},
                                                 {"gc"},
                                                 {"seal"},
                                                 {"protect"},
                                                 {"unprotect"},
                                                 {"label"},
                                                 {"note"},
                                                 {"chown"},
                                                 {"ttl"},
                                                 {"quota"},
                                                 {"policy"},
                                                 {"policy", "show"},
                                                 {"policy", "set"},
                                                 {"policy", "unset"},
                                                 {"policy", "apply"},
                                                 {"approve"},
                                                 {"audit"},
                                                 {"audit", "verify"},
                                                 {"audit", "ship"},
                                                 {"audit", "trim"},
                                                 {"expire"},
                                                 {"bookmark"},
                                                 {"bookmark", "create"},
                                                 {"bookmark", "list"},
                                                 {"bookmark", "delete"},
                                                 {"stats"},
                                                 {"status"},
                                                 {"metrics"},
                                                 {"diff"},
                                                 {"scrub"},
                                                 {"export"},
                                                 {"tablespaces"},
                                                 {"doctor"},
                                                 {"completion"}}) {
    Words words = command;
    words.push_back("--help");
    const Outcome outcome = velafs.RunAs(words);
    std::string name = "velafs";
    for (const std::string& word : command) name += " " + word;
    CAPTURE(name);
    CHECK(outcome.exit_status == 0);
    CHECK(outcome.err.empty());
    CHECK(outcome.out.find("Example:\n  velafs") != std::string::npos);
    CHECK(outcome.out.find("[Option Group") == std::string::npos);
    CHECK((command.empty() || outcome.out.find("see velafs --help\n") != std::string::npos));
  }
}

TEST_CASE_FIXTURE(WithMain,
                  "import reports what it stored, and a second import of the same shares it") {
  const json again = velafs.Done({"import", "again", "--from-dir", data});
  CHECK(again["name"] == "again");
  CHECK(again["files"] == 4);
  CHECK(again["chunks_new"] == 0);
  CHECK(again["chunks_shared"].get<int>() > 0);
}

TEST_CASE_FIXTURE(WithMain, "import takes a path relative to where it is typed") {
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(velafs.scratch.path());
  const Outcome outcome = velafs({"import", "relative", "--from-dir", "data"});
  std::filesystem::current_path(before);
  CHECK_MESSAGE(outcome.exit_status == 0, outcome.err);
}

TEST_CASE_FIXTURE(WithMain, "status says whether a daemon runs") {
  const json status = velafs.Done({"status"});
  CHECK(status["pid"].is_null());
  CHECK(status["mountpoint"].is_null());
  CHECK(status["branches"] == 1);
  CHECK(status["running"].empty());
  CHECK(velafs({"ps"}).out.find("`velafs mount` starts it") != std::string::npos);
}

TEST_CASE_FIXTURE(WithMain, "what is not one JSON document is refused under --json") {
  CHECK(velafs.RunAs({"--version", "--json"}).Json() ==
        json{{"name", "velafs"}, {"version", api::kVersion}});
  CHECK(velafs({"--json", "completion", "bash"}).exit_status == 2);
  CHECK(velafs({"--json", "audit", "ship", "--to", "-"}).exit_status == 2);
}

TEST_CASE_FIXTURE(WithMain, "quiet leaves out what only confirms") {
  CHECK(velafs({"-q", "clone", "main", "a"}).out.empty());
  CHECK_FALSE(velafs({"-q", "show", "a"}).out.empty());
  CHECK_FALSE(velafs({"-q", "--json", "delete", "a"}).out.empty());
}

TEST_CASE("the store may come from the environment") {
  const Velafs velafs;
  setenv("VELAFS_STORE", velafs.store().c_str(), 1);
  const Outcome outcome = velafs.RunAs({"init", "--json"});
  unsetenv("VELAFS_STORE");
  CHECK(outcome.exit_status == 0);
  CHECK(outcome.Json()["store"] == velafs.store());
}

TEST_CASE("an interrupted import leaves nothing and says it was interrupted") {
  const Velafs velafs;
  velafs.Done({"init"});
  constexpr size_t kBytes = 192 << 20;
  const std::string data = MakeDataDirectory(velafs.scratch / "data", kBytes);
  const Process import =
      velafs.Start({"--store", velafs.store(), "import", "main", "--from-dir", data});
  // Whatever else the machine does, the import must not be done before this process sees it begin.
  REQUIRE(setpriority(PRIO_PROCESS, static_cast<id_t>(import.pid), 19) == 0);
  // The first pack appears once the import is under way.
  const std::string packs = velafs.store() + "/packs";
  WaitUntil([&] { return !std::filesystem::is_empty(packs); });
  REQUIRE(kill(import.pid, SIGINT) == 0);
  const Outcome outcome = velafs.Wait(import);
  CHECK(outcome.exit_status == 130);
  CHECK(outcome.err == "velafs: error: cannot import \"main\": interrupted\n");
  CHECK(velafs.Done({"list"})["branches"].empty());
  CHECK(velafs.Done({"stats"})["stored_bytes"] == 0);
}

}  // namespace
}  // namespace velafs::test
