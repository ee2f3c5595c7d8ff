#include "velafs/store/schedule.h"

#include <algorithm>

#include "tests/store/branches_fixture.h"
#include "velafs/store/bookmark_verbs.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/govern/govern_verbs.h"
#include "velafs/store/trash_verbs.h"
#include "velafs/store/upkeep_verbs.h"

namespace velafs::store {
namespace {

using namespace test;
using std::chrono::hours;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr TimeNs kOneHour = 3'600'000'000'000;

struct ScheduleFixture : BranchesFixture {
  void Policy(const std::map<std::string, std::optional<std::string>>& values) {
    const auto set =
        store->governance().SetPolicies(catalog::SettingScope::kBranch, "main", values);
    REQUIRE_MESSAGE(set.ok(), set.status().message());
  }
  Schedule RunAt(TimeNs now) {
    const auto done = store->bookmarks().RunSchedules(caller, now);
    REQUIRE_MESSAGE(done.ok(), done.status().message());
    CHECK_MESSAGE(done->failure.ok(), done->failure.message());
    return *done;
  }
  size_t Count() { return store->bookmarks().List("main")->size(); }
};

TEST_CASE("a scheduled bookmark is called by its time") {
  CHECK(ScheduledName(0) == "auto-19700101-000000");
  CHECK(ScheduledName(1'795'611'600'500'000'000) == "auto-20261125-130000");
}

TEST_CASE("how long bookmarks are kept is a list that grows") {
  const auto keep = ParseKeep("24h,7d");
  REQUIRE(keep.ok());
  CHECK(*keep == std::vector<seconds>{hours(24), hours(24 * 7)});
  for (const char* wrong : {"", "7d,24h", "1h,1h", "1h,,2h", "1h,", "soon"}) {
    INFO(wrong);
    CHECK(ParseKeep(wrong).status().code() == Code::kUsage);
  }
}

// Asked once an hour for a month, or once at its end, the same stay.
TEST_CASE("old bookmarks are thinned out, and it does not matter how often") {
  const std::vector<seconds> keep = {hours(24), hours(24 * 7), hours(24 * 28)};
  const auto thin = [&keep](std::vector<TimeNs>& made_at, TimeNs now) {
    const std::vector<size_t> gone = ThinOut(made_at, keep, now);
    for (auto i = gone.rbegin(); i != gone.rend(); ++i) {
      made_at.erase(made_at.begin() + static_cast<std::ptrdiff_t>(*i));
    }
  };
  for (const int more_hours : {0, 5, 23}) {
    INFO(more_hours);
    const TimeNs end = (24 * 35 + more_hours) * kOneHour;
    std::vector<TimeNs> hourly;
    std::vector<TimeNs> once;
    for (TimeNs now = 0; now <= end; now += kOneHour) {
      hourly.push_back(now);
      once.push_back(now);
      thin(hourly, now);
    }
    thin(once, end);
    CHECK(hourly == once);
    // Of the last day all, of the six days before one each, of the three weeks before, too.
    CHECK(once.size() >= 25 + 6 + 3);
    CHECK(once.size() <= 25 + 7 + 4);
    CHECK(once.back() == end);
    CHECK(once.front() >= end - 28 * 24 * kOneHour);
  }
}

TEST_CASE("the newest bookmark stays, however old it is") {
  const std::vector<seconds> keep = {hours(1)};
  CHECK(ThinOut(std::vector<TimeNs>{1, 2}, keep, 90 * kOneHour) == std::vector<size_t>{0});
  CHECK(ThinOut({}, keep, 1).empty());
}

TEST_CASE_FIXTURE(ScheduleFixture, "a branch gets bookmarks as often as its policy says") {
  const TimeNs now = NowNs();
  CHECK(RunAt(now).made.empty());
  Policy({{"bookmark_every", "1h"}});
  CHECK(RunAt(now).made == std::vector<std::string>{"main@" + ScheduledName(now)});
  WriteInto("main", "16\n");
  CHECK(RunAt(now + kOneHour - 1).made.empty());
  CHECK(RunAt(now + kOneHour).made.size() == 1);
  CHECK(Count() == 2);
  Clone("main@" + ScheduledName(now + kOneHour), "dev");
  CHECK(BranchTree("dev") == BranchTree("main"));
}

TEST_CASE_FIXTURE(ScheduleFixture, "a branch that has not changed gets no other bookmark") {
  Policy({{"bookmark_every", "1h"}});
  const TimeNs now = NowNs();
  RunAt(now);
  for (int i = 1; i < 5; ++i) CHECK(RunAt(now + i * kOneHour).made.empty());
  WriteInto("main", "16\n");
  CHECK(RunAt(now + 5 * kOneHour).made.size() == 1);
}

TEST_CASE_FIXTURE(ScheduleFixture,
                  "only what the schedule made is thinned out, and not what is used") {
  Policy({{"bookmark_every", "1h"}, {"bookmark_keep", "2h"}});
  Bookmark("main@auto-by-hand");
  const TimeNs now = NowNs();
  const auto make = [&](int hour) {
    WriteInto("main", std::to_string(20 + hour) + "\n");
    const std::vector<std::string> made = RunAt(now + hour * kOneHour).made;
    REQUIRE(made.size() == 1);
    return made[0];
  };
  const std::string approved = make(0);
  const std::string origin = make(1);
  const std::string old = make(2);
  REQUIRE(store->governance().SetApproved(approved, true).ok());
  Clone(origin, "dev");
  Policy({{"bookmark_every", std::nullopt}});
  WriteInto("main", "90\n");
  CHECK(RunAt(now + 9 * kOneHour).removed.empty());  // the newest
  Policy({{"bookmark_every", "1h"}});
  const Schedule done = RunAt(now + 10 * kOneHour);
  CHECK(done.made.size() == 1);
  CHECK(RunAt(now + 10 * kOneHour + 1).removed == std::vector<std::string>{old});
  CHECK(Count() == 4);
  Reopen();
  CHECK(Count() == 4);
}

struct OnExpireFixture : BranchesFixture {
  void CloneInThePast(const std::string& source, const std::string& name) {
    CloneOptions options;
    options.ttl = hours(1);
    REQUIRE(store->branches().Clone(caller, source, name, options).ok());
    WriteInto(name, "16\n");
    tree = BranchTree(name);
    REQUIRE(store->volume().SyncAll().ok());
    Change("UPDATE branches SET expires_at = 1 WHERE name = '" + name + "'");
    REQUIRE(store->governance()
                .SetPolicies(catalog::SettingScope::kBranch, name, {{"on_expire", "bookmark"}})
                .ok());
  }
  Expired Expire(bool dry_run = false) {
    const auto expired = store->upkeep().Expire(caller, dry_run);
    REQUIRE_MESSAGE(expired.ok(), expired.status().message());
    return *expired;
  }
  Tree tree;
};

TEST_CASE_FIXTURE(OnExpireFixture,
                  "what an expired branch was can stay as a bookmark of its parent") {
  CloneInThePast("main", "dev");
  using Names = std::vector<std::string>;
  CHECK(Expire(true).saved == Names{"main@expired-dev"});
  CHECK(store->bookmarks().List("main")->empty());
  const Expired expired = Expire();
  CHECK(expired.saved == Names{"main@expired-dev"});
  CHECK(expired.branches.size() == 1);
  Delete("main", true);  // its bookmarks go with it, but not what stands on them
  CHECK(store->trash().Undelete(caller, "dev", {}).ok());
  CHECK(BranchTree("dev") == tree);
}

TEST_CASE_FIXTURE(OnExpireFixture, "the bookmark of an expired branch outlives the trash") {
  CloneInThePast("main", "dev");
  Expire();
  REQUIRE(store->trash().Purge(caller, {}, false).ok());
  Clone("main@expired-dev", "again");
  CHECK(BranchTree("again") == tree);
  Delete("again", true);
  CloneInThePast("main", "dev");
  CHECK(Expire().saved == std::vector<std::string>{"main@expired-dev-2"});
}

TEST_CASE_FIXTURE(OnExpireFixture,
                  "a branch without a parent to have the bookmark does not expire") {
  CloneInThePast("main", "dev");
  CloneInThePast("dev", "child");
  REQUIRE(store->branches().Protect(caller, "dev", {}).ok());
  Expired expired = Expire();
  CHECK(expired.saved == std::vector<std::string>{"dev@expired-child"});
  REQUIRE(expired.kept.size() == 1);  // dev is protected
  REQUIRE(store->branches().Unprotect(caller, "dev").ok());
  Delete("main", true);
  expired = Expire();
  CHECK(expired.branches.empty());
  REQUIRE(expired.kept.size() == 1);
  CHECK(expired.kept[0].why.find("no parent") != std::string::npos);
}

}  // namespace
}  // namespace velafs::store
