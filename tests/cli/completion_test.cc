// What Tab is answered, and what doctor says, as a shell and a person see it.
#include <doctest/doctest.h>

#include <sstream>
#include <string>
#include <vector>

#include "tests/api/data_directory.h"
#include "tests/cli/run_velafs.h"

namespace velafs::test {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

struct WithBranches {
  WithBranches() {
    velafs.Done({"init"});
    velafs.Done({"import", "main", "--from-dir", data});
    velafs.Done({"clone", "main", "pr-1"});
    velafs.Done({"bookmark", "create", "main@then"});
  }
  // After `velafs WORDS`, the last of which is being typed.
  Words After(const Words& words) const {
    Words arguments = {"candidates", "--", "--store", velafs.store()};
    arguments.insert(arguments.end(), words.begin(), words.end());
    const Outcome outcome = velafs(arguments);
    CHECK(outcome.exit_status == 0);
    CHECK(outcome.err.empty());
    Words lines;
    std::istringstream out(outcome.out);
    for (std::string line; std::getline(out, line);) lines.push_back(line);
    return lines;
  }

  Velafs velafs;
  std::string data = MakeDataDirectory(velafs.scratch / "data");
};

TEST_CASE_FIXTURE(WithBranches, "commands and options are completed") {
  CHECK(After({"boo"}) == Words{"bookmark"});
  CHECK(After({"bookmark", ""}) == Words{"create", "list", "delete"});
  CHECK(After({"list", "--sta"}) == Words{"--state"});
  CHECK(After({"list", "--js"}) == Words{"--json"});
  CHECK(After({"cand"}).empty());  // for shells, not for people
}

TEST_CASE_FIXTURE(WithBranches, "names of branches and bookmarks are completed where they belong") {
  const Words branches = {"main", "pr-1"};
  const Words states = {"main", "pr-1", "main@then"};
  for (const char* command : {"show", "delete", "protect", "unprotect", "label", "note", "chown",
                              "ttl", "rename", "reset", "promote"}) {
    CAPTURE(command);
    CHECK(After({command, ""}) == branches);
    CHECK(After({command, "p"}) == Words{"pr-1"});
  }
  CHECK(After({"clone", ""}) == states);
  CHECK(After({"clone", "main", ""}).empty());  // a name that is yet to be
  CHECK(After({"clone", "--note", "text", "pr"}) == Words{"pr-1"});
  CHECK(After({"diff", "main", ""}) == states);
  CHECK(After({"reset", "pr-1", "--to", "main@"}) == Words{"main@then"});
  CHECK(After({"promote", "pr-1", "--onto", ""}) == branches);
  CHECK(After({"delete", "pr-1", "ma"}) == Words{"main"});
  CHECK(After({"bookmark", "list", ""}) == branches);
  CHECK(After({"bookmark", "delete", ""}) == Words{"main@then"});
  CHECK(After({"--quiet", "show", "m"}) == Words{"main"});
}

TEST_CASE_FIXTURE(WithBranches, "each kind of word is completed where it belongs") {
  velafs.Done({"delete", "pr-1"});
  CHECK(After({"undelete", ""}) == Words{"pr-1"});
  CHECK(After({"policy", "set", "main", "compr"}) == Words{"compression="});
  CHECK(After({"policy", "unset", "--of-store", "tc"}) == Words{"tcp"});
  CHECK(After({"policy", "set", "--source", "m"}) == Words{"main"});
  CHECK(After({"completion", ""}) == Words{"bash", "zsh", "fish"});
  CHECK(After({"chown", "main", "roo"}) == Words{"root"});
  CHECK(After({"clone", "main", "new", "--owner", "roo"}) == Words{"root"});
}

TEST_CASE_FIXTURE(WithBranches, "files are left to the shell only where a file is meant") {
  CHECK(After({"import", "x", "--from-d"}) == Words{"--from-dir"});
  CHECK(After({"import", "x", "--from-dir", ""}) == Words{":directories"});
  CHECK(After({"import", "x", "--from-dir", "/v"}) == Words{":directories"});
  CHECK(After({"policy", "apply", ""}) == Words{":files"});
  CHECK(After({"clone", "main", "new", ""}).empty());
  CHECK(After({"show", "nobody", ""}).empty());
}

TEST_CASE_FIXTURE(WithBranches, "an option and its value may be one word, or three") {
  CHECK(After({"reset", "pr-1", "--to=ma"}) == Words{"--to=main", "--to=main@then"});
  CHECK(After({"reset", "pr-1", "--to", "=", "main@"}) == Words{"main@then"});
  CHECK(After({"promote", "pr-1", "--onto", "="}) == Words{"main", "pr-1"});
}

TEST_CASE("without a store nothing is completed, and nothing said") {
  const Outcome outcome = Velafs()({"candidates", "--", "show", ""});
  CHECK(outcome.exit_status == 0);
  CHECK(outcome.out.empty());
  CHECK(outcome.err.empty());
}

TEST_CASE("each shell has its function") {
  const Velafs velafs;
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const Outcome outcome = velafs({"completion", shell});
    CHECK(outcome.exit_status == 0);
    CHECK(outcome.out.find(" candidates -- ") != std::string::npos);
    CHECK(outcome.out.find("velapg") != std::string::npos);
  }
  CHECK(velafs({"completion", "tcsh"}).exit_status == 2);
}

TEST_CASE_FIXTURE(WithBranches, "doctor says what it found of machine and store") {
  const json found = velafs({"doctor", "--json"}).Json();
  REQUIRE(found.is_object());
  const auto check = [&](const std::string& name) {
    for (const json& one : found["checks"]) {
      if (one["check"] == name) return one;
    }
    return json();
  };
  CHECK(check("kernel")["state"] == "ok");
  CHECK(check("store")["state"] == "ok");
  CHECK(check("store")["found"].get<std::string>().find("2 branches") != std::string::npos);
  CHECK_FALSE(check("fuse").is_null());
  CHECK_FALSE(check("space").is_null());
}

TEST_CASE("doctor fails on a store that cannot be opened, and warns of one yet to be made") {
  const Velafs velafs;
  const auto store_check = [](const json& found) {
    for (const json& one : found["checks"]) {
      if (one["check"] == "store") return one;
    }
    return json();
  };
  json check = store_check(velafs({"doctor", "--json"}).Json());
  CHECK(check["state"] == "warning");
  CHECK(check["hint"].get<std::string>().find("init") != std::string::npos);
  velafs.Done({"init"});
  std::ofstream(velafs.store() + "/catalog.db") << "nothing of ours";
  const Outcome outcome = velafs({"doctor", "--json"});
  CHECK(outcome.exit_status == 1);
  CHECK(outcome.Json()["ok"] == false);
  CHECK(store_check(outcome.Json())["state"] == "failed");
}

TEST_CASE_FIXTURE(WithBranches, "watching goes on until it is interrupted") {
  const Process process = velafs.Start({"--store", velafs.store(), "list", "--watch"});
  while (velafs.Content(process.out_path).find("pr-1") == std::string::npos) usleep(10'000);
  kill(process.pid, SIGINT);
  const Outcome outcome = velafs.Wait(process);
  CHECK(outcome.exit_status == 0);
  CHECK(velafs({"list", "--watch", "--json"}).exit_status == 2);
}

}  // namespace
}  // namespace velafs::test
