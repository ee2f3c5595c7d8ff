#include "velafs/api/verbs.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "tests/api/data_directory.h"
#include "tests/os/scratch_directory.h"
#include "velafs/api/version.h"
#include "velafs/base/process_counts.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/store.h"

namespace velafs::api {
namespace {

using nlohmann::json;

struct VerbsFixture {
  VerbsFixture() {
    REQUIRE(store::Store::Init(scratch / "store").ok());
    auto opened = store::Store::Open(scratch / "store");
    REQUIRE_MESSAGE(opened.ok(), opened.status().message());
    store = *std::move(opened);
  }

  Result<json> Run(const std::string& verb, const json& arguments,
                   const ProgressFn& progress = nullptr) {
    store::Caller caller = CallerOf(geteuid());
    caller.pid = 1;
    return RunVerb(*store, caller, verb, arguments, progress);
  }
  json Done(const std::string& verb, const json& arguments) {
    const Result<json> result = Run(verb, arguments);
    REQUIRE_MESSAGE(result.ok(), verb << ": " << result.status().message());
    return *result;
  }
  void Import(const std::string& name) {
    Done("import",
         {{"name", name}, {"from_dir", test::MakeDataDirectory(scratch / "data-" + name)}});
    const Status unprotected = store->branches().Unprotect(CallerOf(geteuid()), name).status();
    REQUIRE_MESSAGE(unprotected.ok(), unprotected.message());
  }

  test::ScratchDirectory scratch;
  std::unique_ptr<store::Store> store;
};

TEST_CASE_FIXTURE(VerbsFixture, "a verb refuses wrong arguments before it does anything") {
  struct Wrong {
    const char* verb;
    json arguments;
    const char* message;
  };
  const Wrong wrong[] = {
      {"frobnicate", json::object(), "unknown verb \"frobnicate\""},
      {"list", json::array(), "arguments are not a JSON object"},
      {"list", {{"nmae", "x"}}, "unknown argument \"nmae\""},
      {"list", {{"state", "asleep"}}, "\"asleep\" is not a state of a branch"},
      {"list", {{"state", "deleted"}}, "\"deleted\" is not a state of a branch"},
      {"list", {{"fields", {"name", "nmae"}}}, "a branch has no field \"nmae\""},
      {"show", json::object(), "argument \"name\" is missing"},
      {"server", json::object(), "argument \"name\" is missing"},
      {"show", {{"name", nullptr}}, "argument \"name\" is missing"},
      {"show", {{"name", 7}}, "argument \"name\" is not a string"},
      {"import",
       {{"name", "a"}, {"from_dir", "pgdata"}},
       "argument \"from_dir\" is not an absolute path"},
      {"clone",
       {{"source", "a"}, {"name", "b"}, {"ttl", "soon"}},
       "argument \"ttl\": \"soon\" is not a duration"},
      {"clone",
       {{"source", "a"}, {"name", "b"}, {"labels", {{"k", 1}}}},
       "argument \"labels\" is not an object of strings"},
      {"clone",
       {{"source", "a"}, {"name", "b"}, {"labels", "k=v"}},
       "argument \"labels\" is not an object of strings"},
      {"delete", {{"name", "a"}, {"force", "yes"}}, "argument \"force\" is not true or false"},
      {"assign-port",
       {{"name", "a"}, {"port", 65536}},
       "argument \"port\" is not a port number, 1 to 65535"},
      {"assign-port",
       {{"name", "a"}, {"port", "5432"}},
       "argument \"port\" is not a port number, 1 to 65535"},
      {"clone", {{"source", "a"}, {"name", "No Such"}}, nullptr},
  };
  for (const Wrong& it : wrong) {
    CAPTURE(it.verb);
    CAPTURE(it.arguments.dump());
    const Result<json> result = Run(it.verb, it.arguments);
    REQUIRE_FALSE(result.ok());
    CHECK(result.status().code() == Code::kUsage);
    if (it.message != nullptr) CHECK(result.status().message() == it.message);
  }
}

TEST_CASE_FIXTURE(VerbsFixture,
                  "an imported branch is described in full, with null for what is not known") {
  const std::string directory = test::MakeDataDirectory(scratch / "data");
  const json branch = Done("import", {{"name", "main"}, {"from_dir", directory}});
  CHECK(branch["name"] == "main");
  CHECK(branch["files"] == 4);
  CHECK(branch["chunks_new"].get<uint64_t>() > 0);
  CHECK(branch["bytes_stored"].get<uint64_t>() > 0);
  CHECK(branch["warnings"] == json::array());
  CHECK(branch["logical_bytes"] == 3 + 8192 + 100'000);

  const json shown = Done("show", {{"name", "main"}});
  for (const char* key : {"path", "parent", "parent_bookmark", "expires_at", "port"}) {
    CAPTURE(key);
    REQUIRE(shown.contains(key));
    CHECK(shown[key].is_null());
  }
  CHECK(shown["state"] == "ready");
  CHECK(shown["protected"].is_boolean());
  CHECK(shown["labels"] == json::object());
  CHECK(shown["owner"] == CallerOf(geteuid()).user);
  const auto created_at = shown["created_at"].get<std::string>();
  CHECK(created_at.size() == std::string("2026-11-22T10:00:00Z").size());
  CHECK(created_at.back() == 'Z');
}

TEST_CASE_FIXTURE(VerbsFixture, "a clone carries what it was given") {
  Import("main");
  const json branch = Done("clone", {{"source", "main"},
                                     {"name", "pr-1"},
                                     {"ttl", "12h"},
                                     {"labels", {{"ticket", "42"}}},
                                     {"note", "for the review"}});
  CHECK(branch["parent"] == "main");
  CHECK(branch["labels"] == json{{"ticket", "42"}});
  CHECK(branch["note"] == "for the review");
  CHECK(branch["expires_at"].get<std::string>() > branch["created_at"].get<std::string>());
  CHECK(branch["logical_bytes"] == 3 + 8192 + 100'000);

  const json list = Done("list", json::object());
  const json names = Done("list", {{"fields", {"name", "state"}}});
  CHECK(names["branches"][0] == json{{"name", "main"}, {"state", "ready"}});
  REQUIRE(list["branches"].size() == 2);
  CHECK(list["branches"][0]["name"] == "main");
  CHECK(list["branches"][1] == Done("show", {{"name", "pr-1"}}));
}

TEST_CASE_FIXTURE(VerbsFixture, "bookmarks are made, listed by branch, cloned and deleted") {
  Import("main");
  const json bookmark = Done("bookmark-create", {{"name", "main@before"}, {"note", "release 7"}});
  CHECK(bookmark["name"] == "main@before");
  CHECK(bookmark["branch"] == "main");
  CHECK(bookmark["note"] == "release 7");
  CHECK(Done("bookmark-list", {{"branch", "main"}})["bookmarks"] == json::array({bookmark}));
  CHECK(Done("stats", json::object())["bookmarks"] == 1);

  const json clone = Done("clone", {{"source", "main@before"}, {"name", "retry"}});
  CHECK(clone["parent_bookmark"] == "main@before");

  Done("bookmark-delete", {{"name", "main@before"}});
  CHECK(Done("bookmark-list", json::object())["bookmarks"] == json::array());
  CHECK(Run("bookmark-delete", {{"name", "main@before"}}).status().code() == Code::kNotFound);
}

TEST_CASE_FIXTURE(VerbsFixture,
                  "a dry run of delete changes nothing and fails where delete would") {
  Import("main");
  const json would = Done("delete", {{"name", "main"}, {"dry_run", true}});
  CHECK(would["name"] == "main");
  CHECK(Done("list", json::object())["branches"].size() == 1);
  CHECK(Run("delete", {{"name", "none"}, {"dry_run", true}}).status().code() == Code::kNotFound);

  Done("delete", {{"name", "main"}});
  CHECK(Done("list", json::object())["branches"].empty());
  CHECK(Run("delete", {{"name", "main"}}).status().code() == Code::kNotFound);
}

TEST_CASE_FIXTURE(VerbsFixture, "a port stays with its branch") {
  Import("main");
  const json assigned = Done("assign-port", {{"name", "main"}});
  CHECK(Done("assign-port", {{"name", "main"}}) == assigned);
  CHECK(Done("show", {{"name", "main"}})["port"] == assigned["port"]);
}

TEST_CASE_FIXTURE(VerbsFixture, "counters are of this process and of the store's disk") {
  CountsOfProcess().CountSync(std::chrono::milliseconds(3));
  CountsOfProcess().CountError(ENOSPC);
  const json counters = Done("counters", json::object());
  CHECK(counters["memory_bytes"].get<uint64_t>() > 1 << 20);
  CHECK(counters["fsync"]["seconds"].get<double>() >= 0.003);
  CHECK(counters["errors"]["ENOSPC"].get<int>() >= 1);
  CHECK(counters["disk_free_bytes"].get<uint64_t>() > 0);
  const json& buckets = counters["fsync"]["buckets"];
  CHECK(buckets[2]["seconds"] == 0.005);
  CHECK(buckets[2]["count"].get<int>() > buckets[1]["count"].get<int>());
  CHECK(counters["fsync"]["count"].get<int>() >= buckets.back()["count"].get<int>());
}

TEST_CASE_FIXTURE(VerbsFixture, "status names the store and the process") {
  const json status = Done("status", json::object());
  CHECK(status["store"] == scratch / "store");
  CHECK(status["mountpoint"].is_null());
  CHECK(status["pid"] == getpid());
  CHECK(status["version"] == kVersion);
}

TEST_CASE_FIXTURE(VerbsFixture,
                  "an import told to stop says it was interrupted and leaves nothing") {
  const std::string directory = test::MakeDataDirectory(scratch / "data");
  const json arguments = {{"name", "main"}, {"from_dir", directory}};
  int events = 0;
  const Result<json> stopped = Run("import", arguments, [&events](const json& event) {
    ++events;
    CHECK(event.contains("bytes_done"));
    CHECK(event.contains("files_total"));
    return false;
  });
  REQUIRE_FALSE(stopped.ok());
  CHECK(stopped.status().code() == Code::kFailed);
  CHECK(stopped.status().message() == "cannot import \"main\": interrupted");
  CHECK(events == 1);
  CHECK(Done("list", json::object())["branches"].empty());
  Done("import", arguments);
}

TEST_CASE_FIXTURE(VerbsFixture, "a verb that changes something leaves an entry, done or not") {
  Import("main");
  Done("clone", {{"source", "main"}, {"name", "pr-1"}, {"ttl", "12h"}, {"note", "secret"}});
  CHECK_FALSE(Run("clone", {{"source", "main"}, {"name", "pr-1"}}).ok());
  CHECK_FALSE(Run("delete", {{"name", 7}}).ok());
  Done("list", json::object());
  Done("delete", {{"name", "pr-1"}, {"dry_run", true}});
  Done("reset", {{"name", "pr-1"}});
  Done("ttl", {{"name", "pr-1"}, {"ttl", "1s"}});

  const json entries = Done("audit", json::object())["entries"];
  REQUIRE(entries.size() == 6);
  CHECK(entries[0]["verb"] == "import");
  CHECK(entries[0]["result"] == "done");
  const json& cloned = entries[1];
  CHECK(cloned["id"] == 2);
  CHECK(cloned["uid"] == geteuid());
  CHECK(cloned["user"] == CallerOf(geteuid()).user);
  CHECK(cloned["pid"] == 1);
  CHECK(cloned["subjects"] == json{"pr-1"});
  CHECK(cloned["source"] == "main");
  CHECK(cloned["detail"] == json{{"ttl", "12h"}});
  CHECK(cloned["duration_ms"].get<double>() > 0);
  CHECK(entries[2]["result"] == "exists");
  CHECK(entries[2]["detail"]["error"].get<std::string>().find("exists") != std::string::npos);
  CHECK(entries[3]["verb"] == "delete");
  CHECK(entries[3]["result"] == "usage");
  CHECK(entries[4]["verb"] == "reset");
  CHECK(entries[4]["source"] == "main");
  CHECK(Done("audit", {{"verb", "ttl"}})["entries"] == json::array({entries[5]}));
  CHECK(Done("audit-verify", json::object())["entries"] == 6);
}

TEST_CASE_FIXTURE(VerbsFixture, "an entry says who gave a branch to whom") {
  Import("main");
  Done("chown", {{"name", "main"}, {"owner", "nobody"}});
  const json entry = Done("audit", {{"verb", "chown"}})["entries"][0];
  CHECK(entry["detail"] == json{{"owner", "nobody"}, {"former_owner", CallerOf(geteuid()).user}});
}

TEST_CASE_FIXTURE(VerbsFixture, "what labels, notes and connection strings say is in no entry") {
  Import("main");
  const char* secret = "hunter2";
  Done("clone", {{"source", "main"},
                 {"name", "pr-1"},
                 {"labels", {{"password", secret}, {"team", secret}}},
                 {"note", secret}});
  Done("label", {{"name", "pr-1"}, {"set", {{"dsn", secret}}}});
  Done("note", {{"name", "pr-1"}, {"note", secret}});
  Done("bookmark-create", {{"name", "pr-1@then"}, {"note", secret}});
  CHECK_FALSE(Run("label", {{"name", "pr-1"}, {"set", {{"a=b", secret}}}}).ok());
  CHECK_FALSE(
      Run("label", {{"name", "pr-1"}, {"set", {{"key", secret + std::string(1, '\n')}}}}).ok());
  CHECK_FALSE(Run("note", {{"name", "pr-1"}, {"note", secret + std::string(1, '\xff')}}).ok());
  const json entries = Done("audit", json::object());
  CHECK(entries.dump().find(secret) == std::string::npos);
  CHECK(entries["entries"][1]["detail"] == json{{"labels", "password,team"}});
  CHECK(entries["entries"][2]["detail"] == json{{"set", "dsn"}});
}

TEST_CASE_FIXTURE(VerbsFixture, "the log is trimmed by policy, and says where it begins") {
  Import("main");
  for (const char* text : {"a", "b", "c"}) Done("note", {{"name", "main"}, {"note", text}});
  CHECK(Run("audit-trim", json::object()).status().code() == Code::kUsage);
  CHECK(Run("policy-set", {{"place", "store"}, {"set", {{"audit_max_entries", "0"}}}})
            .status()
            .code() == Code::kUsage);
  Done("policy-set", {{"place", "store"}, {"set", {{"audit_max_entries", "2"}}}});
  const size_t before = Done("audit", json::object())["entries"].size();
  const json trimmed = Done("audit-trim", json::object());
  CHECK(trimmed["entries"] == before - 1);
  CHECK(trimmed["held_by"].is_null());
  const json entries = Done("audit", json::object())["entries"];
  REQUIRE(entries.size() == 2);  // that of the trimming is the last, and the only one it makes
  CHECK(entries[1]["verb"] == "audit-trim");
  CHECK(entries[1]["detail"]["last"] == trimmed["trimmed"]);
  const json verified = Done("audit-verify", json::object());
  CHECK(verified["entries"] == 2);
  CHECK(verified["trimmed"] == trimmed["trimmed"]);
}

TEST_CASE_FIXTURE(VerbsFixture, "entries are shipped until they are said to have come") {
  Import("main");
  const json first = Done("audit-unshipped", {{"to", "syslog"}});
  CHECK(first["entries"].size() == 1);
  CHECK(Done("audit-unshipped", {{"to", "syslog"}}) == first);
  Done("audit-shipped", {{"to", "syslog"}, {"head", first["head"]}});
  CHECK(Done("audit-unshipped", {{"to", "syslog"}})["entries"].empty());
  CHECK(Done("audit-verify", json::object())["shipped"] ==
        json::array({{{"to", "syslog"}, {"head", first["head"]}}}));
  Done("audit-forget", {{"to", "syslog"}});
  CHECK(Done("audit", json::object())["entries"].back()["verb"] == "audit-forget");
}

TEST_CASE_FIXTURE(VerbsFixture, "a branch's instance ends with a reset, its id does not") {
  Import("main");
  Done("clone", {{"source", "main"}, {"name", "pr-1"}});
  const json before = Done("show", {{"name", "pr-1"}});
  CHECK(Done("show", {{"name", "pr-1"}})["instance"] == before["instance"]);
  Done("reset", {{"name", "pr-1"}});
  const json after = Done("show", {{"name", "pr-1"}});
  CHECK(after["instance"].get<uint64_t>() > before["instance"].get<uint64_t>());
  CHECK(after["id"] == before["id"]);
}

TEST_CASE_FIXTURE(VerbsFixture, "what an entry takes from a caller is short and on one line") {
  CHECK_FALSE(Run("delete", {{"name", "a\nb" + std::string(100'000, 'x')}}).ok());
  const json entry = Done("audit", json::object())["entries"][0];
  REQUIRE(entry["subjects"].size() == 1);
  const auto name = entry["subjects"][0].get<std::string>();
  CHECK(name.starts_with("a?bxx"));
  CHECK(name.size() == 256);
}

TEST_CASE_FIXTURE(VerbsFixture, "a verified log must go through what was noted") {
  Import("main");
  const json noted = Done("audit-verify", json::object())["head"];
  Done("note", {{"name", "main"}, {"note", "x"}});
  CHECK(Done("audit-verify", {{"noted", noted}})["entries"] == 2);
  const std::string other = "1:" + std::string(64, '0');
  CHECK(Run("audit-verify", {{"noted", other}}).status().code() == Code::kCorrupt);
  for (const char* wrong : {"", "1", "1:", "x:00", "0:00", "1:zz"}) {
    CHECK(Run("audit-verify", {{"noted", wrong}}).status().code() == Code::kUsage);
  }
}

}  // namespace
}  // namespace velafs::api
