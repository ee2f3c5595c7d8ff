#include "velafs/store/audit_log.h"

#include "tests/store/branches_fixture.h"

namespace velafs::store {
namespace {

using catalog::AuditHead;
using catalog::AuditRow;

struct AuditFixture : BranchesFixture {
  AuditFixture() {
    Append("alice", "clone", "pr-1", "main");
    Append("bob", "bookmark-create", "main@before", "");
    Append("alice", "delete", "pr-1\npr-10", "");
    Append("alice", "clone", "pr-2", "main@before");
  }
  void Append(const std::string& user, const std::string& verb, const std::string& subjects,
              const std::string& source) {
    AuditRow row;
    row.at = NowNs();
    row.uid = 7;
    row.pid = 42;
    row.duration_us = 5;
    row.user = user;
    row.verb = verb;
    row.subjects = subjects;
    row.source = source;
    row.detail = "{}";
    row.result = "done";
    const Status appended = store->audit_log().Append(row);
    REQUIRE_MESSAGE(appended.ok(), appended.message());
  }
  std::vector<uint64_t> Ids(const AuditFilter& filter) {
    const auto rows = store->audit_log().List(filter);
    REQUIRE_MESSAGE(rows.ok(), rows.status().message());
    std::vector<uint64_t> ids;
    for (const AuditRow& row : *rows) ids.push_back(row.id);
    return ids;
  }
  AuditHead Head() {
    const auto head = store->audit_log().Verify({});
    REQUIRE_MESSAGE(head.ok(), head.status().message());
    return *head;
  }
  void CheckBroken(const std::string& words, const std::optional<AuditHead>& noted = {}) {
    const auto verified = store->audit_log().Verify(noted);
    REQUIRE_FALSE(verified.ok());
    CHECK(verified.status().code() == Code::kCorrupt);
    test::CheckMessage(verified.status(), words);
  }
  // As somebody does who has the catalog for himself.
  void Tamper(const std::string& statement) {
    Change("DROP TRIGGER audit_keeps_rows; DROP TRIGGER audit_keeps_fields; " + statement);
  }
};

using Numbers = std::vector<uint64_t>;

TEST_CASE_FIXTURE(AuditFixture, "of failures without end few leave an entry, and all are counted") {
  AuditRow failure = store->audit_log().List({})->front();
  const uint64_t before = Head().count;
  failure.result = "refused";
  failure.at = NowNs();
  const auto fail = [&](uint32_t uid, int times) {
    failure.uid = uid;
    failure.user = std::to_string(uid);
    for (int i = 0; i < times; ++i) REQUIRE(store->audit_log().AppendFailure(failure).ok());
  };
  fail(8, 1000);
  CHECK(Head().count == before + 20);
  fail(9, 3);  // another's are his own
  CHECK(Head().count == before + 23);
  constexpr TimeNs kMinute = TimeNs{60} * 1'000'000'000;
  REQUIRE(store->audit_log().AppendFolded(NowNs() + kMinute).ok());
  CHECK(Head().count == before + 23);
  REQUIRE(store->audit_log().AppendFolded(NowNs() + 6 * kMinute).ok());
  CHECK(Head().count == before + 24);
  AuditRow last = store->audit_log().List({})->back();
  CHECK(last.user == "8");
  CHECK(last.detail == R"({"folded":"979"})");
  // Thousands of users are as one.
  for (uint32_t uid = 100; uid < 3100; ++uid) fail(uid, 1);
  CHECK(Head().count <= before + 24 + 200);
  // Nothing is left uncounted at the end.
  fail(8, 5);
  REQUIRE(store->Close().ok());
  Reopen();
  const auto of_8 = store->audit_log().List({.user = "8"});
  REQUIRE(of_8.ok());
  CHECK(of_8->back().detail == R"({"folded":"4"})");
}

TEST_CASE_FIXTURE(AuditFixture, "entries are listed oldest first, by user, verb, branch and time") {
  CHECK(Ids({}) == Numbers{1, 2, 3, 4});
  CHECK(Ids({.user = "alice"}) == Numbers{1, 3, 4});
  CHECK(Ids({.verb = "clone"}) == Numbers{1, 4});
  CHECK(Ids({.branch = "pr-1"}) == Numbers{1, 3});
  CHECK(Ids({.branch = "pr-10"}) == Numbers{3});
  CHECK(Ids({.branch = "main"}) == Numbers{1, 2, 4});
  CHECK(Ids({.limit = 2}) == Numbers{3, 4});
  CHECK(Ids({.user = "alice", .limit = 2}) == Numbers{3, 4});
  CHECK(Ids({.since = NowNs() + 1}).empty());
}

TEST_CASE_FIXTURE(AuditFixture, "a log longer than one reading is listed and verified whole") {
  for (int i = 4; i < 1203; ++i) Append("bob", "note", "main", "");
  CHECK(Head().count == 1203);
  CHECK(Ids({}).size() == 1203);
  CHECK(Ids({.user = "alice"}) == Numbers{1, 3, 4});
  CHECK(Ids({.limit = 1000}).front() == 204);
}

TEST_CASE_FIXTURE(AuditFixture, "entries survive a restart, and what they speak of") {
  const AuditHead head = Head();
  Reopen();
  CHECK(Head().hash == head.hash);
  Delete("main", /*purge=*/true);
  CHECK(Ids({.branch = "main"}) == Numbers{1, 2, 4});
}

TEST_CASE_FIXTURE(AuditFixture, "the catalog itself refuses to change an entry or take one away") {
  store.reset();
  auto database = sql::Database::Open(root + "/catalog.db", 0);
  REQUIRE(database.ok());
  for (const char* statement :
       {"UPDATE audit SET user = 'eve' WHERE id = 2", "DELETE FROM audit WHERE id = 4"}) {
    test::CheckMessage((*database)->Execute(statement), "append-only");
  }
}

TEST_CASE_FIXTURE(AuditFixture, "each field that was changed breaks the chain at its entry") {
  for (const char* change :
       {"at = at + 1", "uid = 8", "pid = 43", "duration_us = 6", "user = 'eve'", "verb = 'note'",
        "subjects = 'x'", "source = 'x'", "detail = '{ }'", "result = 'failed'",
        "user = 'bobb', verb = 'ookmark-create'", "hash = randomblob(32)"}) {
    CAPTURE(change);
    AuditFixture another;
    another.Tamper("UPDATE audit SET " + std::string(change) + " WHERE id = 2");
    another.CheckBroken("entry 2 is not what was written");
  }
}

TEST_CASE_FIXTURE(AuditFixture, "an entry that was taken away is missed, the last one too") {
  SUBCASE("from within") {
    Tamper("DELETE FROM audit WHERE id = 2");
    CheckBroken("entry 2 is missing");
  }
  SUBCASE("from the end") {
    Tamper("DELETE FROM audit WHERE id = 4");
    CheckBroken("entry 4 is missing");
  }
  SUBCASE("all") {
    Tamper("DELETE FROM audit");
    CheckBroken("entry 1 is missing");
  }
}

TEST_CASE_FIXTURE(AuditFixture, "an entry past the known end is found out") {
  Tamper("UPDATE audit_head SET count = 3, hash = (SELECT hash FROM audit WHERE id = 3)");
  CheckBroken("entry 4 is past the known end");
}

TEST_CASE_FIXTURE(AuditFixture,
                  "only a head noted elsewhere tells of a log that was cut with its head") {
  const AuditHead noted = Head();
  Append("bob", "note", "main", "");
  CHECK(store->audit_log().Verify(noted).ok());
  Tamper(
      "DELETE FROM audit WHERE id > 3; UPDATE audit_head SET count = 3,"
      " hash = (SELECT hash FROM audit WHERE id = 3)");
  CHECK(Head().count == 3);
  CheckBroken("entry 4 was noted and is missing", noted);
  Append("eve", "note", "main", "");
  CheckBroken("entry 4 is not the one that was noted", noted);
}

// ---- Trimming

struct TrimFixture : AuditFixture {
  AuditTrimmed Trim(const AuditLimits& limits, bool dry_run = false) {
    const auto trimmed = store->audit_log().Trim(caller, limits, NowNs(), dry_run);
    REQUIRE_MESSAGE(trimmed.ok(), trimmed.status().message());
    return *trimmed;
  }
  AuditHead HeadOf(uint64_t id) {
    const auto rows = store->audit_log().List({});
    REQUIRE(rows.ok());
    const auto row = std::ranges::find(*rows, id, &AuditRow::id);
    REQUIRE(row != rows->end());
    return {row->id, row->hash};
  }
};

TEST_CASE_FIXTURE(TrimFixture, "trimming leaves the newest entries and one that says what went") {
  const AuditHead third = HeadOf(3);
  const AuditTrimmed trimmed = Trim({.max_entries = 2});
  CHECK(trimmed.entries == 3);
  CHECK(trimmed.last == third);
  CHECK(Ids({}) == Numbers{4, 5});
  const AuditRow entry = store->audit_log().List({})->back();
  CHECK(entry.verb == "audit-trim");
  CHECK(entry.user == caller.user);
  CHECK(entry.detail == R"({"entries":"3","last":")" + AuditHeadText(third) + "\"}");
  CHECK(Head().count == 5);
  Reopen();
  CHECK(Head().count == 5);
  Append("alice", "clone", "pr-3", "main");
  CHECK(Head().count == 6);
  CHECK(*store->audit_log().Begin() == third);
}

TEST_CASE_FIXTURE(TrimFixture, "what is young enough, or few enough, is not trimmed") {
  CHECK(Trim({.keep = std::chrono::hours(1)}).entries == 0);
  CHECK(Trim({.max_entries = 4}).entries == 0);
  CHECK(Trim({}).entries == 0);
  CHECK(Ids({}) == Numbers{1, 2, 3, 4});
  CHECK(Trim({.keep = std::chrono::seconds(0)}, /*dry_run=*/true).entries == 4);
  CHECK(Ids({}) == Numbers{1, 2, 3, 4});
  CHECK(Trim({.keep = std::chrono::seconds(0)}).entries == 4);
  CHECK(Ids({}) == Numbers{5});
  // Else a log to which nothing comes would be trimmed for ever.
  CHECK(Trim({.keep = std::chrono::seconds(0)}).entries == 0);
  CHECK(Ids({}) == Numbers{5});
}

TEST_CASE_FIXTURE(TrimFixture, "more entries than go at once are trimmed all the same") {
  for (int i = 0; i < 600; ++i) Append("alice", "note", "main", "");
  CHECK(Trim({.max_entries = 10}).entries == 595);
  CHECK(Ids({}).size() == 10);
  CHECK(Head().count == 605);
}

TEST_CASE_FIXTURE(TrimFixture, "what was changed is not trimmed, so that it shows") {
  Tamper("UPDATE audit SET user = 'mallory' WHERE id = 2");
  const auto trimmed = store->audit_log().Trim(caller, {.max_entries = 1}, NowNs(), false);
  CHECK(trimmed.status().code() == Code::kCorrupt);
  CHECK(Ids({}) == Numbers{1, 2, 3, 4});
}

TEST_CASE_FIXTURE(TrimFixture, "a log that was trimmed by hand is broken") {
  SUBCASE("the table refuses") {
    store.reset();
    auto database = sql::Database::Open(root + "/catalog.db", 0);
    REQUIRE(database.ok());
    CHECK_FALSE((*database)->Execute("DELETE FROM audit WHERE id = 1").ok());
    Reopen();
    CHECK(Head().count == 4);
  }
  SUBCASE("beginning and all, without an entry") {
    Change(
        "UPDATE audit_begin SET count = 1, hash = (SELECT hash FROM audit WHERE id = 1);"
        "DELETE FROM audit WHERE id = 1");
    CheckBroken("entry 1 is missing, and no entry tells of its trimming");
  }
  SUBCASE("further than the entry says") {
    Trim({.max_entries = 4});  // nothing
    Trim({.max_entries = 3});
    CHECK(Ids({}) == Numbers{3, 4, 5});
    Change(
        "UPDATE audit_begin SET count = 3, hash = (SELECT hash FROM audit WHERE id = 3);"
        "DELETE FROM audit WHERE id = 3");
    CheckBroken("entry 3 is missing, and no entry tells of its trimming");
  }
  SUBCASE("an old entry put back") {
    Trim({.max_entries = 3});
    Tamper(
        "INSERT INTO audit SELECT 1, at, uid, pid, duration_us, user, verb, subjects, source,"
        " detail, result, hash FROM audit WHERE id = 3");
    CheckBroken("entry 1 is from before its beginning");
  }
}

TEST_CASE_FIXTURE(TrimFixture, "what was noted and trimmed since is neither right nor wrong") {
  const AuditHead first = HeadOf(1);
  const AuditHead second = HeadOf(2);
  const AuditHead fourth = HeadOf(4);
  Trim({.max_entries = 3});
  CHECK(store->audit_log().Verify(first).status().code() == Code::kNotFound);
  CHECK(store->audit_log().Verify(second).ok());
  CHECK(store->audit_log().Verify(fourth).ok());
  CheckBroken("entry 2 is not the one that was noted", AuditHead{2, first.hash});
}

// ---- Shipping

TEST_CASE_FIXTURE(TrimFixture, "a destination gets each entry until it is said to have it") {
  AuditLog& log = store->audit_log();
  CHECK(log.Unshipped("syslog", {})->rows.size() == 4);
  CHECK(log.Unshipped("syslog", {})->last == HeadOf(4));
  REQUIRE(log.MarkShipped("syslog", HeadOf(3)).ok());
  REQUIRE(log.MarkShipped("syslog", HeadOf(1)).ok());  // does not move back
  Reopen();
  const auto rest = store->audit_log().Unshipped("syslog", {});
  REQUIRE(rest->rows.size() == 1);
  CHECK(rest->rows[0].id == 4);
  CHECK(store->audit_log().Unshipped("elsewhere", {})->rows.size() == 4);
  CHECK(store->audit_log().Unshipped("elsewhere", HeadOf(2))->rows.size() == 2);
  CHECK(store->audit_log().Marks()->size() == 1);
}

TEST_CASE_FIXTURE(TrimFixture, "a log that does not go on from what was shipped is broken") {
  AuditLog& log = store->audit_log();
  const auto code = [&](const AuditHead& has) {
    return log.Unshipped("file", has).status().code();
  };
  CHECK(code({3, HeadOf(2).hash}) == Code::kCorrupt);
  CHECK(code({9, HeadOf(2).hash}) == Code::kCorrupt);
  CHECK(log.MarkShipped("file", {3, HeadOf(2).hash}).code() == Code::kCorrupt);
  CHECK(log.MarkShipped("file", {9, HeadOf(2).hash}).code() == Code::kCorrupt);
  CHECK(log.MarkShipped("", HeadOf(2)).code() == Code::kUsage);
  CHECK(log.Marks()->empty());
}

TEST_CASE_FIXTURE(TrimFixture, "what a destination has yet to get is not trimmed") {
  AuditLog& log = store->audit_log();
  const AuditHead first = HeadOf(1);
  REQUIRE(log.MarkShipped("syslog", HeadOf(2)).ok());
  REQUIRE(log.MarkShipped("far", first).ok());
  const AuditTrimmed trimmed = Trim({.keep = std::chrono::seconds(0)});
  CHECK(trimmed.entries == 1);
  CHECK(trimmed.held_by == "far");
  CHECK(Ids({}) == Numbers{2, 3, 4, 5});
  REQUIRE(log.ForgetDestination("far").ok());
  CHECK(log.ForgetDestination("far").code() == Code::kNotFound);
  CHECK(Trim({.keep = std::chrono::seconds(0)}).entries == 1);
  REQUIRE(log.MarkShipped("syslog", HeadOf(6)).ok());
  CHECK_FALSE(Trim({.keep = std::chrono::hours(1)}).held_by);
  CHECK(log.Unshipped("late", first).status().code() == Code::kNotFound);
}

}  // namespace
}  // namespace velafs::store
