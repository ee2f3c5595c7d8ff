// The commands as they are typed, without a mount.
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <string>

#include "tests/api/data_directory.h"
#include "tests/cli/run_velafs.h"
#include "velafs/api/version.h"

namespace velafs::test {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

struct WithMain {
  WithMain() {
    velafs.Done({"init"});
    CHECK(velafs.Done({"import", "main", "--from-dir", data})["protected"] == true);
    velafs.Done({"unprotect", "main"});
  }
  Velafs velafs;
  std::string data = MakeDataDirectory(velafs.scratch / "data");
};

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

TEST_CASE_FIXTURE(WithMain, "a dry run of delete deletes nothing") {
  const Outcome outcome = velafs({"delete", "main", "--dry-run"});
  CHECK(outcome.exit_status == 0);
  CHECK(outcome.out.starts_with("would delete \"main\""));
  CHECK(velafs.Done({"list"})["branches"].size() == 1);
}

TEST_CASE_FIXTURE(WithMain, "a mistake in one name of delete deletes nothing") {
  velafs.Done({"clone", "main", "a"});
  CHECK(velafs({"delete", "a", "main", "typo"}).exit_status == 3);
  CHECK(velafs.Done({"list"})["branches"].size() == 2);
  CHECK(velafs.Done({"delete", "a", "main", "a"})["deleted"].size() == 2);
  CHECK(velafs.Done({"list"})["branches"].empty());
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

TEST_CASE_FIXTURE(WithMain, "a deleted branch is in the trash, and comes back or is purged") {
  velafs.Done({"clone", "main", "dev"});
  velafs.Done({"delete", "dev"});
  CHECK(velafs({"list", "--trash"}).out.starts_with("NAME  FROM  OWNER  DELETED  OWN\ndev   main"));
  CHECK(velafs({"undelete", "dev", "--as", "back"}).out == "brought back \"dev\" as \"back\"\n");
  velafs.Done({"delete", "back"});
  CHECK(velafs({"gc", "--older-than", "1d"}).exit_status == 2);
  CHECK(velafs({"gc"}).out == "freed 0 B\n");
  CHECK(velafs({"gc", "--trash", "--dry-run"}).out.starts_with("would purge \"back\", deleted 2"));
  CHECK(velafs.Done({"gc", "--trash"})["branches"].size() == 1);
  CHECK(velafs({"list", "--trash"}).out == "the trash is empty\n");
  CHECK(velafs({"undelete", "back"}).exit_status == 3);
  velafs.Done({"clone", "main", "dev"});
  CHECK(velafs.Done({"delete", "--purge", "dev"})["deleted"][0]["purged"] == true);
  CHECK(velafs.Done({"list", "--trash"})["branches"].empty());
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

TEST_CASE_FIXTURE(WithMain, "delete takes patterns, labels and owners") {
  for (const char* name : {"pr-1", "pr-2", "pr-3", "qa-1"}) {
    velafs.Done({"clone", "main", name, "--label", "ci=true"});
  }
  const json would = velafs.Done({"delete", "pr-*", "--dry-run"});
  CHECK(would["deleted"].size() == 3);
  CHECK(velafs.Done({"list"})["branches"].size() == 5);
  velafs.Done({"protect", "pr-2"});

  const Outcome some = velafs({"--json", "delete", "pr-*"});
  CHECK(some.exit_status == 4);
  CHECK(some.err.find("branch \"pr-2\" is protected") != std::string::npos);
  REQUIRE(some.Json().is_object());
  CHECK(some.Json()["deleted"].size() == 2);
  CHECK(some.Json()["refused"][0]["name"] == "pr-2");
  CHECK(some.Json()["refused"][0]["code"] == "refused");

  CHECK(velafs({"delete", "--label", "ci=false"}).exit_status == 3);
  CHECK(velafs({"delete", "--label", "ci=false", "--if-exists"}).exit_status == 0);
  CHECK(velafs({"delete"}).exit_status == 2);
  velafs.Done({"unprotect", "pr-2"});
  CHECK(velafs.Done({"delete", "--label", "ci=true", "--owner", "nobody", "--if-exists"})["deleted"]
            .empty());
  CHECK(velafs.Done({"rm", "--label", "ci=true"})["deleted"].size() == 2);
  CHECK(velafs.Done({"ls"})["branches"].size() == 1);
}

TEST_CASE_FIXTURE(WithMain, "who deletes a source is told of its clones, and of the way back") {
  velafs.Done({"clone", "main", "dev"});
  const std::string told = velafs({"delete", "main"}).out;
  CHECK(told.find("its clone stays") != std::string::npos);
  CHECK(told.find("within 7d: velafs undelete main\n") != std::string::npos);
  CHECK(velafs({"show", "main"}).err.find("it is in the trash: velafs undelete main") !=
        std::string::npos);
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

TEST_CASE_FIXTURE(WithMain, "quiet leaves out what only confirms") {
  CHECK(velafs({"-q", "clone", "main", "a"}).out.empty());
  CHECK_FALSE(velafs({"-q", "show", "a"}).out.empty());
  CHECK_FALSE(velafs({"-q", "--json", "delete", "a"}).out.empty());
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
