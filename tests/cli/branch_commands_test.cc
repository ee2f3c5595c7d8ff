// The commands that make, show and change branches and bookmarks, without a mount.
#include <doctest/doctest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "tests/cli/with_main.h"

namespace velafs::test {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

TEST_CASE_FIXTURE(WithMain, "clone takes its options before or after the names") {
  const json branch = velafs.Done({"clone", "--label", "ticket=42", "main", "pr-1", "--label",
                                   "by=ci=x", "--ttl", "2d", "--note", "for review"});
  CHECK(branch["name"] == "pr-1");
  CHECK(branch["parent"] == "main");
  CHECK(branch["labels"] == json{{"ticket", "42"}, {"by", "ci=x"}});
  CHECK(branch["note"] == "for review");
  CHECK(branch["expires_at"].is_string());
  CHECK(branch["path"].is_null());
}

TEST_CASE_FIXTURE(WithMain, "who clones without a mount is told to mount") {
  const Outcome outcome = velafs({"clone", "main", "pr-1"});
  CHECK(
      outcome.out ==
      "cloned \"main\" to \"pr-1\"; its files are shown once the store is mounted: velafs mount\n");
}

TEST_CASE_FIXTURE(WithMain, "a branch may have a command's name") {
  velafs.Done({"clone", "main", "list"});
  velafs.Done({"clone", "list", "clone"});
  CHECK(velafs.Done({"show", "list"})["name"] == "list");
  velafs.Done({"delete", "list", "clone"});
  CHECK(velafs.Done({"list"})["branches"].size() == 1);
}

TEST_CASE_FIXTURE(WithMain, "list is a table with a line for each branch") {
  velafs.Done({"clone", "main", "pr-1"});
  const Outcome outcome = velafs({"list"});
  CHECK(outcome.exit_status == 0);
  CHECK(outcome.out.starts_with("NAME  STATE  FROM  OWNER  "));
  CHECK(outcome.out.find("\nmain  ready  -     ") != std::string::npos);
  CHECK(outcome.out.find("\npr-1  ready  main  ") != std::string::npos);
  CHECK(outcome.out.find('\x1b') == std::string::npos);
}

TEST_CASE_FIXTURE(WithMain, "tree draws each clone under what it was cloned from") {
  velafs.Done({"clone", "main", "a"});
  velafs.Done({"clone", "a", "a1"});
  velafs.Done({"clone", "a1", "a2"});
  velafs.Done({"clone", "main", "b"});
  velafs.Done({"import", "other", "--from-dir", data});
  const Outcome outcome = velafs({"tree"});
  CHECK(outcome.exit_status == 0);
  size_t from = 0;
  for (const std::string begin :
       {"main ", "├─ a ", "│  └─ a1 ", "│     └─ a2 ", "└─ b ", "other "}) {
    CAPTURE(begin);
    CHECK(outcome.out.compare(from, begin.size(), begin) == 0);
    from = outcome.out.find('\n', from) + 1;
  }
  CHECK(from == outcome.out.size());
  CHECK(velafs.Done({"tree"})["branches"].size() == 6);
}

TEST_CASE_FIXTURE(WithMain, "show says everything of a branch") {
  const Outcome outcome = velafs({"show", "main"});
  CHECK(outcome.exit_status == 0);
  CHECK(outcome.out.starts_with("name       main\npath       not mounted\nstate      ready\n"));

  velafs.Done({"clone", "main", "pr-1", "--label", "ticket=42", "--label", "by=ci", "--ttl", "2d"});
  const Outcome clone = velafs({"show", "pr-1"});
  CHECK(clone.exit_status == 0);
  CHECK(clone.out.find("\nfrom       main\n") != std::string::npos);
  CHECK(clone.out.find("\nlabels     by=ci, ticket=42\n") != std::string::npos);
}

TEST_CASE_FIXTURE(WithMain, "bookmarks are made, listed, cloned and deleted") {
  const json bookmark = velafs.Done({"bookmark", "create", "main@before", "--note", "release 7"});
  CHECK(bookmark["name"] == "main@before");
  CHECK(bookmark["branch"] == "main");
  CHECK(bookmark["note"] == "release 7");
  CHECK(velafs({"bookmark", "list", "main"}).out.find("main@before") != std::string::npos);
  CHECK(velafs.Done({"clone", "main@before", "retry"})["parent_bookmark"] == "main@before");
  velafs.Done({"bookmark", "delete", "main@before"});
  CHECK(velafs.Done({"bookmark", "list"})["bookmarks"].empty());
}

TEST_CASE_FIXTURE(WithMain, "a bookmark where a branch is wanted brings up the right command") {
  velafs.Done({"bookmark", "create", "main@b1"});
  for (const char* command : {"show", "delete"}) {
    const Outcome outcome = velafs({command, "main@b1"});
    CHECK(outcome.exit_status == 2);
    CHECK(outcome.err.find("\"main@b1\" is a bookmark") != std::string::npos);
    CHECK(outcome.err.find("velafs bookmark list main shows it") != std::string::npos);
    CHECK(outcome.err.find("velafs bookmark delete main@b1") != std::string::npos);
  }
}

TEST_CASE_FIXTURE(WithMain,
                  "a branch is reset, promoted and renamed, and the commands say what they did") {
  velafs.Done({"clone", "main", "dev"});
  CHECK(velafs({"reset", "dev", "--dry-run"}).out ==
        "would reset \"dev\" to \"main\"; its previous state would be kept as "
        "\"dev@before-reset-1\"\n");
  CHECK(velafs({"reset", "dev"}).out ==
        "reset \"dev\" to \"main\"; its previous state is kept as \"dev@before-reset-1\"\n");
  CHECK(velafs({"reset", "dev", "--no-bookmark"}).out ==
        "reset \"dev\" to \"main\"; 0 B of its own data are lost\n");
  CHECK(
      velafs({"promote", "dev", "--onto", "main"}).out ==
      "promoted \"dev\" onto \"main\"; its previous state is kept as \"main@before-promote-1\"\n");
  CHECK(velafs({"rename", "dev", "feature"}).out == "renamed \"dev\" to \"feature\"\n");
  const Outcome tree = velafs({"tree"});
  CHECK(tree.out.find("\n├─ @before-promote-1 ") != std::string::npos);
  CHECK(tree.out.find("\n└─ feature ") != std::string::npos);
}

TEST_CASE_FIXTURE(WithMain, "what is said of a branch is set word by word") {
  CHECK(velafs({"label", "main", "team=db", "by=ci"}).out ==
        "labels of \"main\": by=ci, team=db\n");
  CHECK(velafs({"label", "main", "by-"}).out == "labels of \"main\": team=db\n");
  CHECK(velafs({"label", "main", "team"}).exit_status == 2);
  CHECK(velafs.Done({"list", "--label", "team=db"})["branches"].size() == 1);
  CHECK(velafs.Done({"list", "--label", "team=web"})["branches"].empty());
  CHECK(velafs.Done({"note", "main", "hello"})["note"] == "hello");
  CHECK(velafs.Done({"note", "main", ""})["note"] == "");
  CHECK(velafs.Done({"chown", "main", "nobody"})["owner"] == "nobody");
  CHECK(velafs({"chown", "main", "nobdy"}).err.find("did you mean \"nobody\"?") !=
        std::string::npos);
  CHECK(velafs({"protect", "main"}).out == "protected \"main\"\n");
  CHECK(velafs({"delete", "main"}).exit_status == 4);
  CHECK(velafs({"unprotect", "main"}).out == "\"main\" is not protected\n");
  CHECK(velafs({"ttl", "main", "2d"}).out.starts_with("\"main\" expires 2"));
  CHECK(velafs({"ttl", "main", "none"}).out == "\"main\" does not expire\n");
  CHECK(velafs({"ttl", "main", "soon"}).exit_status == 2);
  CHECK(velafs({"expire"}).out == "nothing has expired\n");
}

TEST_CASE_FIXTURE(WithMain, "a time may be given with an offset, or as local time") {
  setenv("TZ", "UTC-5", 1);  // five hours east
  const auto message = [this](const std::string& at) {
    return velafs({"clone", "main", "x", "--at", at}).err;
  };
  velafs.Done({"bookmark", "create", "main@now"});
  for (const char* at : {"2001-02-03 04:05", "2001-02-03 04:05:00", "2001-02-02T23:05:00Z",
                         "2001-02-03T04:05:00+05:00", "2001-02-02T18:05:00.5-05:00"}) {
    CAPTURE(at);
    CHECK(message(at).find("from 2001-02-02T23:05:00Z or before") != std::string::npos);
  }
  for (const char* at :
       {"2001-02-03", "tomorrow", "2001-02-03T04:05:00+5", "2001-02-03 04:05 x", "14:00 x"}) {
    CAPTURE(at);
    CHECK(message(at).find("is not a time") != std::string::npos);
  }
  unsetenv("TZ");
}

TEST_CASE_FIXTURE(WithMain, "a script may run twice") {
  const Words clone = {"clone", "main", "ci", "--ttl", "4h", "--if-exists", "reuse"};
  CHECK(velafs.Done(clone)["outcome"] == "created");
  CHECK(velafs.Done(clone)["outcome"] == "reused");
  CHECK(velafs(clone).out.starts_with("reused \"ci\""));
  CHECK(velafs({"list"}).out.find("  in 4h  ") != std::string::npos);
  CHECK(velafs.Done({"clone", "main", "ci", "--if-exists", "reset"})["outcome"] == "reset");
  CHECK(velafs({"clone", "main", "ci"}).exit_status == 7);
  CHECK(velafs({"clone", "main", "ci", "--if-exists", "maybe"}).exit_status == 2);
  CHECK(velafs.Done({"delete", "ci", "--if-exists"})["missing"].empty());
  const json again = velafs.Done({"delete", "ci", "--if-exists"});
  CHECK(again["deleted"].empty());
  CHECK(again["missing"] == json{"ci"});
  CHECK(velafs({"delete", "ci"}).exit_status == 3);
}

TEST_CASE_FIXTURE(WithMain, "a list marks what is protected or ephemeral") {
  velafs.Done({"protect", "main"});
  velafs.Done({"clone", "main", "fast", "--ephemeral"});
  const std::string list = velafs({"list"}).out;
  CHECK(list.find(" protected\n") != std::string::npos);
  CHECK(list.find(" ephemeral\n") != std::string::npos);
}

TEST_CASE_FIXTURE(WithMain, "a quota has a unit, and is not too small") {
  CHECK(velafs({"quota", "main", "10"}).exit_status == 2);
  CHECK(velafs({"quota", "main", "0"}).exit_status == 2);
  CHECK(velafs.Done({"quota", "main", "10GB"})["quota_bytes"] == 10'000'000'000);
  CHECK(velafs.Done({"quota", "main", "10GiB"})["quota_bytes"] == uint64_t{10} << 30);
  CHECK(velafs({"policy", "set", "main", "quota=10"}).exit_status == 2);
  CHECK(velafs({"policy", "set", "main", "quta=10G"}).err.find("did you mean \"quota\"?") !=
        std::string::npos);
  CHECK(velafs({"policy", "set", "main", "quota=10G"}).out == "set quota=10G of branch \"main\"\n");
}

}  // namespace
}  // namespace velafs::test
