// Clone, when the branch is there already.
#include <thread>

#include "tests/store/branches_fixture.h"
#include "velafs/store/bookmark_verbs.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/server_verbs.h"
#include "velafs/store/trash_verbs.h"

namespace velafs::store {
namespace {

using namespace test;

struct ExistingFixture : BranchesFixture {
  Result<BranchInfo> Take(const std::string& source, IfExists if_exists,
                          CloneOutcome* outcome = nullptr, const Caller* who = nullptr) {
    CloneOptions options;
    options.if_exists = if_exists;
    options.ttl = std::chrono::hours(4);
    return store->branches().Clone(who == nullptr ? caller : *who, source, "ci", options, outcome);
  }
};

TEST_CASE_FIXTURE(ExistingFixture, "a clone that exists is made, reused or reset as is asked") {
  CloneOutcome outcome = CloneOutcome::kReset;
  REQUIRE(Take("main", IfExists::kReuse, &outcome).ok());
  CHECK(outcome == CloneOutcome::kCreated);
  const uint64_t id = Info("ci").id;
  WriteInto("ci", "17\n");
  const Tree changed = BranchTree("ci");
  REQUIRE(store->branches().SetTtl(caller, "ci", std::chrono::minutes(1)).ok());

  REQUIRE(Take("main", IfExists::kReuse, &outcome).ok());
  CHECK(outcome == CloneOutcome::kReused);
  CHECK(BranchTree("ci") == changed);
  CHECK(Info("ci").id == id);
  CHECK(*Info("ci").expires_at > NowNs() + TimeNs{3} * 3600 * 1'000'000'000);

  WriteInto("main", "16\n");
  REQUIRE(Take("main", IfExists::kReset, &outcome).ok());
  CHECK(outcome == CloneOutcome::kReset);
  CHECK(BranchTree("ci") == BranchTree("main"));
  CHECK(Info("ci").id == id);
  CHECK(store->bookmarks().List("ci")->size() == 1);

  const Status exists = Take("main", IfExists::kError).status();
  CHECK(exists.code() == Code::kExists);
  CHECK(ExitStatus(exists.code()) == 7);
}

TEST_CASE_FIXTURE(ExistingFixture, "a branch is not reused by others, nor for another source") {
  Import("other");
  Bookmark("main@before");
  REQUIRE(Take("main", IfExists::kError).ok());
  const Status of_another = Take("main", IfExists::kReuse, nullptr, &kAlice).status();
  CHECK(of_another.code() == Code::kRefused);
  CheckMessage(of_another, "belongs to \"tester\"");
  for (const char* source : {"other", "main@before"}) {
    const Status refused = Take(source, IfExists::kReuse).status();
    CHECK(refused.code() == Code::kRefused);
    CheckMessage(refused, "branch \"ci\" exists, and it was cloned from \"main\"");
  }
  CHECK(Take("other", IfExists::kReset).status().code() == Code::kRefused);
  // Put back to another state of its source, it is a clone of that.
  REQUIRE(Take("main@before", IfExists::kReset).ok());
  CHECK(Info("ci").parent_bookmark == "main@before");
  CHECK(Take("main@before", IfExists::kReuse).ok());

  CloneOptions options;
  options.if_exists = IfExists::kReuse;
  const Status imported = store->branches().Clone(caller, "main", "other", options).status();
  CHECK(imported.code() == Code::kRefused);
  CheckMessage(imported, "it was imported");
}

TEST_CASE_FIXTURE(ExistingFixture, "a branch is not reset under its server, or while protected") {
  REQUIRE(Take("main", IfExists::kError).ok());
  {
    const WaitingProcess server(scratch.path());
    StartServer("ci", server.pid());
    const Status running = Take("main", IfExists::kReset).status();
    CHECK(running.code() == Code::kRefused);
    CHECK(running.hint().find("velapg reset ci") != std::string::npos);
    CHECK(Take("main", IfExists::kReuse).ok());
  }
  REQUIRE(store->branches().Protect(caller, "ci", {}).ok());
  CHECK(Take("main", IfExists::kReset).status().code() == Code::kRefused);
  CHECK(Take("main", IfExists::kReuse).ok());
}

TEST_CASE_FIXTURE(ExistingFixture, "of two scripts at once one makes the branch, one reuses it") {
  for (int round = 0; round < 10; ++round) {
    std::array<CloneOutcome, 2> outcomes = {CloneOutcome::kReset, CloneOutcome::kReset};
    std::array<Status, 2> done;
    {
      std::vector<std::jthread> scripts;
      for (size_t i = 0; i < 2; ++i) {
        scripts.emplace_back(
            [&, i] { done[i] = Take("main", IfExists::kReuse, &outcomes[i]).status(); });
      }
    }
    for (const Status& one : done) CHECK_MESSAGE(one.ok(), one.message());
    CHECK(std::ranges::count(outcomes, CloneOutcome::kCreated) == 1);
    CHECK(std::ranges::count(outcomes, CloneOutcome::kReused) == 1);
    Delete("ci", /*purge=*/true);
  }
}

TEST_CASE_FIXTURE(BranchesFixture, "an imported source is protected") {
  REQUIRE(TryImport("source").ok());
  CHECK(Info("source").is_protected);
  const auto refused =
      store->trash().Delete(caller, "source", {.force = true, .purge = false, .dry_run = false});
  CHECK(refused.status().code() == Code::kRefused);
  CHECK(refused.status().hint() == "remove the protection first: velafs unprotect source");
}

TEST_CASE_FIXTURE(BranchesFixture, "a name that no branch has brings up the nearest one") {
  Clone("main", "pr-42");
  CHECK(store->branches().Show("pr42").status().hint() == "did you mean \"pr-42\"?");
  CHECK(store->branches().Show("unlike").status().hint() == "`velafs list` shows the branches");
  Delete("pr-42");
  CHECK(store->branches().Show("pr-42").status().hint() ==
        "it is in the trash: velafs undelete pr-42");
  Bookmark("main@before-migration");
  CHECK(store->branches().Clone(caller, "main@before-migation", "x", {}).status().hint() ==
        "did you mean \"main@before-migration\"?");
}

TEST_CASE_FIXTURE(BranchesFixture, "a branch that is made again has its port again") {
  Clone("main", "pr-1");
  Clone("main", "pr-2");
  const auto first = store->servers().AssignPort(caller, "pr-1", {});
  const auto second = store->servers().AssignPort(caller, "pr-2", {});
  REQUIRE(first.ok());
  REQUIRE(second.ok());
  CHECK(*first != *second);
  for (const bool purge : {false, true}) {
    Delete("pr-1", purge);
    Delete("pr-2", purge);
    Clone("main", "pr-1");
    Clone("main", "pr-2");
    CHECK(*store->servers().AssignPort(caller, "pr-2", {}) == *second);
    CHECK(*store->servers().AssignPort(caller, "pr-1", {}) == *first);
  }
}

}  // namespace
}  // namespace velafs::store
