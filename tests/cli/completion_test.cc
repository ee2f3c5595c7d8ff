// What Tab is answered, and what doctor says, as a shell and a person see it.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/api/data_directory.h"
#include "tests/cli/run_velafs.h"
#include "velafs/candidates.h"

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

TEST_CASE_FIXTURE(WithBranches, "the pools that are offered are those of the one who asks") {
  if (geteuid() != 0) return;  // only root gives branches away
  velafs.Done({"label", "main", "pool=own"});
  velafs.Done({"chown", "pr-1", "nobody"});
  velafs.Done({"label", "pr-1", "pool=other"});
  CLI::App app;
  std::string name;
  app.add_option("POOL", name, "Pool to take from");
  app.add_option("--store", name);
  CHECK(Candidates(app, {"--store", velafs.store(), ""}) == Words{"own"});
}

TEST_CASE("words that a shell might run are not offered") {
  CLI::App app;
  std::string name;
  app.add_option("WORD", name)->type_name("{a-B_1.0@c:d=e+,$(id),`id`,a;b,a b,a\nb,*,~,a\\}");
  CHECK(Candidates(app, {""}) == Words{"a-B_1.0@c:d=e+"});
}

TEST_CASE("bash inserts a candidate as one word, and runs nothing of it") {
  const Velafs velafs;
  const std::string program = velafs.scratch / "program";
  std::ofstream(program) << "#!/bin/sh\necho 'pool=$(id)'\necho 'main@then'\n";
  REQUIRE(chmod(program.c_str(), 0755) == 0);
  std::ofstream(velafs.scratch / "script")
      << velafs({"completion", "bash"}).out << "COMP_WORDS=('" << program << "' '')\nCOMP_CWORD=1\n"
      << "_velafs\nprintf '%s\\n' \"${COMPREPLY[@]}\" >'" << velafs.scratch.path() << "/offered'\n";
  const std::string command = "bash --norc '" + velafs.scratch / "script" + "'";
  REQUIRE(std::system(command.c_str()) == 0);
  CHECK(velafs.Content(velafs.scratch / "offered") == "pool=\\$\\(id\\)\nmain@then\n");
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
  WaitUntil([&] { return velafs.Content(process.out_path).find("pr-1") != std::string::npos; });
  kill(process.pid, SIGINT);
  const Outcome outcome = velafs.Wait(process);
  CHECK(outcome.exit_status == 0);
  CHECK(velafs({"list", "--watch", "--json"}).exit_status == 2);
}

}  // namespace
}  // namespace velafs::test
