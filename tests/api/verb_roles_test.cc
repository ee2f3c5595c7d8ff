// Who may run which verb against whose branch: one table, which knows every verb.
#include <doctest/doctest.h>
#include <grp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <vector>

#include "tests/api/data_directory.h"
#include "tests/os/scratch_directory.h"
#include "velafs/api/verbs.h"
#include "velafs/store/store.h"

namespace velafs::api {
namespace {

using nlohmann::json;

// What comes of a call, for each of these callers in this order: the branch's owner, another user,
// a viewer, somebody without a role, and an admin by his group. One letter each:
//   . done   R refused   U wrong usage   N not found   E exists already
constexpr size_t kCallers = 5;
using Outcomes = std::string_view;

// Names of users that every machine has.
constexpr char kOwner[] = "daemon";
constexpr char kOther[] = "bin";

// One verb. In its arguments "$" stands for the subject, and "$mine" for an unprotected branch of
// the caller's own (of the owner's, where the caller can own none).
struct Row {
  const char* verb;
  json arguments;
  Outcomes on_branch;     // the subject is a branch that is not approved
  Outcomes on_protected;  // a branch that is protected
  Outcomes on_bookmark;   // a bookmark of a branch
};

// A verb without a subject, for which all three are the same.
Row Anywhere(const char* verb, const json& arguments, Outcomes outcomes) {
  return {verb, arguments, outcomes, outcomes, outcomes};
}

std::vector<Row> Table() {
  const json none = json::object();
  const json subject = {{"name", "$"}};
  const auto with = [](json more) {
    more["name"] = "$";
    return more;
  };
  return {
      Anywhere("import", {{"name", "imported"}, {"from_dir", "relative"}}, "RRRRU"),
      {"clone", {{"source", "$"}, {"name", "made"}}, ".RRR.", ".RRR.", ".RRR."},
      {"clone",
       {{"source", "$mine"}, {"name", "made"}, {"owner", "$other"}},
       "R.RR.",
       "R.RR.",
       "R.RR."},
      Anywhere("list", none, "...R."),
      {"show", subject, "...R.", "...R.", "UUURU"},
      {"server", subject, "...R.", "...R.", "UUURU"},
      {"reset", subject, "RRRR.", "RRRRR", "UURRU"},
      {"reset", {{"name", "$mine"}, {"to", "$"}}, ".RRR.", ".RRR.", ".RRR."},
      {"reset", with({{"dry_run", true}}), "RRRR.", "RRRRR", "UURRU"},
      {"promote", {{"name", "$mine"}, {"onto", "$"}}, ".RRR.", "RRRRR", "UURRU"},
      {"promote", {{"name", "$"}, {"onto", "$mine"}}, ".RRR.", ".RRR.", "UURRU"},
      {"promote", {{"name", "$mine"}, {"onto", "$"}, {"dry_run", true}}, ".RRR.", "RRRRR", "UURRU"},
      {"rename", with({{"new_name", "renamed"}}), ".RRR.", ".RRR.", "UURRU"},
      {"delete", subject, ".RRR.", "RRRRR", "UURRU"},
      {"delete", with({{"force", true}, {"purge", true}}), ".RRR.", "RRRRR", "UURRU"},
      {"delete", with({{"dry_run", true}}), ".RRR.", "RRRRR", "UURRU"},
      Anywhere("undelete", {{"name", "gone"}}, ".RRR."),
      Anywhere("trash-list", none, "...R."),
      Anywhere("trash-purge", none, "..RR."),
      Anywhere("gc", none, "RRRR."),
      Anywhere("seal", none, "RRRR."),
      {"protect", subject, ".RRR.", ".RRR.", "UURRU"},
      {"unprotect", subject, ".RRR.", ".RRR.", "UURRU"},
      {"label", with({{"set", {{"a", "b"}}}}), ".RRR.", ".RRR.", "UURRU"},
      {"label", with({{"set", {{"pool", "b"}}}}), ".RRR.", ".RRR.", "UURRU"},
      {"note", with({{"note", "text"}}), ".RRR.", ".RRR.", "UURRU"},
      {"chown", with({{"owner", "$other"}}), "RRRR.", "RRRR.", "UURRU"},
      {"chown", with({{"owner", "$owner"}}), ".RRR.", ".RRR.", "UURRU"},
      {"quota", with({{"quota", "1G"}}), ".RRR.", ".RRR.", "UURRU"},
      {"ttl", with({{"ttl", "1d"}}), ".RRR.", ".RRR.", "UURRU"},
      Anywhere("expire", none, "..RR."),
      {"bookmark-create", with({}), "UURRU", "UURRU", "ERRRE"},
      {"bookmark-create", {{"name", "$@new"}}, ".RRR.", ".RRR.", "UURRU"},
      Anywhere("bookmark-list", none, "...R."),
      {"bookmark-delete", subject, "UURRU", "UURRU", ".RRR."},
      {"diff", {{"a", "$"}, {"b", "main"}}, "...R.", "...R.", "...R."},
      {"export", {{"source", "$"}}, ".RRR.", ".RRR.", ".RRR."},
      {"tablespaces", subject, "...R.", "...R.", "UUURU"},
      {"tablespaces-bring-in", subject, ".RRR.", ".RRR.", "UURRU"},
      {"tablespaces-drop", with({{"oid", "5"}}), "NRRRN", "NRRRN", "UURRU"},
      Anywhere("stats", none, "...R."),
      Anywhere("counters", none, "...R."),
      Anywhere("scrub", none, "RRRR."),
      {"assign-port", subject, ".RRR.", ".RRR.", "UURRU"},
      Anywhere("pool-place", none, geteuid() == 0 ? "..RR." : "RRRRR"),
      Anywhere("audit", none, "RRRR."),
      Anywhere("audit-verify", none, "RRRR."),
      Anywhere("audit-trim", {{"keep", "100d"}}, "RRRR."),
      Anywhere("audit-trim", {{"max_entries", 100000}, {"dry_run", true}}, "RRRR."),
      Anywhere("audit-unshipped", {{"to", "syslog"}}, "RRRR."),
      Anywhere("audit-shipped", {{"to", "syslog"}, {"head", "1"}}, "RRRRU"),
      Anywhere("audit-forget", {{"to", "syslog"}}, "RRRRN"),
      Anywhere("policy-show", none, "...R."),
      {"policy-show", subject, "...R.", "...R.", "UUURU"},
      Anywhere("policy-set", {{"place", "store"}, {"set", {{"max_branches", "99"}}}}, "RRRR."),
      {"policy-set", with({{"place", "branch"}, {"set", {{"ttl", "9d"}}}}), "RRRR.", "RRRR.",
       "RRRRU"},
      {"policy-unset", with({{"place", "branch"}, {"keys", {"ttl"}}}), "RRRR.", "RRRR.", "RRRRU"},
      Anywhere("policy-apply", {{"places", json::array()}}, "RRRRU"),
      {"approve", subject, "RRRR.", "RRRR.", "RRRR."},
      {"unapprove", subject, "RRRR.", "RRRR.", "RRRR."},
      Anywhere("status", none, "...R."),
  };
}

struct RolesFixture {
  RolesFixture() {
    REQUIRE(store::Store::Init(scratch / "store").ok());
    auto opened = store::Store::Open(scratch / "store");
    REQUIRE_MESSAGE(opened.ok(), opened.status().message());
    store = *std::move(opened);
    Done("import", {{"name", "main"}, {"from_dir", test::MakeDataDirectory(scratch / "data")}});
    std::array<std::pair<std::string, uint32_t>, 3> groups;
    size_t count = 0;
    setgrent();
    while (const group* entry = getgrent()) {
      if (count == groups.size()) break;
      if (entry->gr_gid != getegid()) groups[count++] = {entry->gr_name, entry->gr_gid};
    }
    endgrent();
    REQUIRE(count == groups.size());
    const auto& [users, viewers, admins] = groups;
    Done("policy-set", {{"place", "store"},
                        {"set",
                         {{"user_group", users.first},
                          {"viewer_group", viewers.first},
                          {"admin_group", admins.first}}}});
    const uint32_t uid = geteuid() + 4242;
    callers = {store::Caller{uid, kOwner, users.second, {users.second}},
               store::Caller{uid + 1, kOther, users.second, {users.second}},
               store::Caller{uid + 2, "viewer", viewers.second, {viewers.second}},
               store::Caller{uid + 3, "nobody"},
               store::Caller{uid + 4, "admin", admins.second, {admins.second}}};
    callers[3].gid = UINT32_MAX;
  }

  json Done(const std::string& verb, const json& arguments) {
    const auto result = RunVerb(*store, CallerOf(geteuid()), verb, arguments, nullptr);
    REQUIRE_MESSAGE(result.ok(), verb << ": " << result.status().message());
    return *result;
  }
  void Remove(const std::string& name) {
    (void)RunVerb(*store, CallerOf(geteuid()), "unprotect", {{"name", name}}, nullptr);
    (void)RunVerb(*store, CallerOf(geteuid()), "delete", {{"name", name}, {"purge", true}},
                  nullptr);
  }
  // Branches for one call: of the owner, with a bookmark, protected or not; and of the caller.
  void MakeBranches(size_t caller, bool is_protected) {
    const std::string user = caller < 2 ? callers[caller].user : callers[0].user;
    Done("clone", {{"source", "main"}, {"name", "gone"}, {"owner", kOwner}});
    Done("delete", {{"name", "gone"}});
    Done("clone", {{"source", "main"}, {"name", "subject"}, {"owner", kOwner}});
    Done("bookmark-create", {{"name", "subject@then"}});
    Done("clone", {{"source", "main"}, {"name", "mine"}, {"owner", user}});
    if (is_protected) Done("protect", {{"name", "subject"}});
  }
  void RemoveBranches() {
    for (const char* name : {"subject", "mine", "made", "renamed", "gone"}) Remove(name);
    Done("trash-purge", json::object());
  }
  json WhatIsTheOwners() {
    json all = {Done("list", {{"owner", kOwner}}), Done("trash-list", json::object()),
                Done("bookmark-list", json::object()), Done("policy-show", {{"name", "subject"}})};
    // Made for the caller.
    std::erase_if(all[0]["branches"].get_ref<json::array_t&>(),
                  [](const json& branch) { return branch["name"] == "mine"; });
    return all;
  }
  json FilledIn(const json& arguments, const std::string& subject) {
    std::string text = arguments.dump();
    const auto replace = [&text](const std::string& from, const std::string& to) {
      for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
        text.replace(at, from.size(), to);
      }
    };
    replace("$mine", "mine");
    replace("$other", kOther);
    replace("$owner", kOwner);
    replace("$", subject);
    return json::parse(text);
  }
  char Try(const Row& row, size_t caller, const std::string& subject, bool is_protected) {
    MakeBranches(caller, is_protected);
    const Streams streams{.out = [](std::span<const std::byte>) { return Status(); }};
    const json before = WhatIsTheOwners();
    const auto outcome = RunVerb(*store, callers[caller], row.verb,
                                 FilledIn(row.arguments, subject), nullptr, streams);
    // Who rules only his own branches leaves those of the owner as they were, whatever he is told.
    if (callers[caller].user != kOwner && callers[caller].user != "admin") {
      CHECK_MESSAGE(WhatIsTheOwners() == before, row.verb << " by " << callers[caller].user);
    }
    RemoveBranches();
    if (outcome.ok()) return '.';
    INFO(row.verb, ": ", outcome.status().message());
    switch (outcome.status().code()) {
      case Code::kRefused:
        return 'R';
      case Code::kUsage:
        return 'U';
      case Code::kNotFound:
        return 'N';
      case Code::kExists:
        return 'E';
      default:
        return '?';
    }
  }
  void Check(const Row& row, const std::string& subject, bool is_protected, Outcomes expected) {
    std::string seen;
    for (size_t caller = 0; caller < kCallers; ++caller) {
      seen += Try(row, caller, subject, is_protected);
    }
    CHECK_MESSAGE(seen == expected, row.verb << " " << row.arguments.dump() << " on "
                                             << (is_protected ? "protected " : "") << subject);
  }

  test::ScratchDirectory scratch;
  std::unique_ptr<store::Store> store;
  std::array<store::Caller, kCallers> callers;
};

TEST_CASE_FIXTURE(RolesFixture, "each verb is done for those who may, and refused to others") {
  for (const Row& row : Table()) {
    Check(row, "subject", false, row.on_branch);
    if (row.arguments.dump().find("\"$") == std::string::npos) continue;
    Check(row, "subject", true, row.on_protected);
    Check(row, "subject@then", false, row.on_bookmark);
  }
}

TEST_CASE("the table of who may run a verb has all verbs and no others") {
  std::set<std::string_view> in_table;
  const std::vector<Row> table = Table();
  for (const Row& row : table) in_table.insert(row.verb);
  const std::vector<std::string_view> names = VerbNames();
  CHECK(in_table == std::set<std::string_view>(names.begin(), names.end()));
}

}  // namespace
}  // namespace velafs::api
