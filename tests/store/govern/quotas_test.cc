#include <cerrno>
#include <chrono>

#include "tests/store/branches_fixture.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/govern/govern_verbs.h"
#include "velafs/store/govern/usage_verbs.h"
#include "velafs/store/replace_verbs.h"
#include "velafs/store/trash_verbs.h"

namespace velafs::store {
namespace {

using namespace test;

constexpr uint64_t kMiB = 1 << 20;

struct QuotasFixture : BranchesFixture {
  void CloneWith(const std::string& name, std::optional<uint64_t> quota, Caller who) {
    CloneOptions options;
    options.quota_bytes = quota;
    options.as_user = "none";
    const auto made = store->branches().Clone(who, "main", name, options);
    REQUIRE_MESSAGE(made.ok(), made.status().message());
  }
  // Writes so many pages of file "big", from a page on.
  Status Fill(const std::string& name, uint64_t first, uint64_t pages) {
    VELAFS_ASSIGN(const auto branch, store->volume().Open(name));
    auto file = branch->Lookup(branch->root(), "big");
    if (!file.ok()) file = branch->Make(branch->root(), "big", {.mode = S_IFREG | 0600});
    VELAFS_TRY(file.status());
    const std::vector<std::byte> page(kPageBytes, std::byte{7});
    for (uint64_t i = first; i < first + pages; ++i) {
      VELAFS_TRY(branch->Write(file->ino, i * kPageBytes, page));
    }
    return {};
  }
  Status Cut(const std::string& name, uint64_t pages) {
    VELAFS_ASSIGN(const auto branch, store->volume().Open(name));
    VELAFS_ASSIGN(const auto file, branch->Lookup(branch->root(), "big"));
    return branch->Set(file.ino, {.size_bytes = pages * kPageBytes}).status();
  }
  void Set(const std::map<std::string, std::optional<std::string>>& values) {
    REQUIRE(store->governance().SetPolicies(catalog::SettingScope::kStore, {}, values).ok());
  }
};

TEST_CASE_FIXTURE(QuotasFixture,
                  "a branch takes no more than its quota, and goes on with what it has") {
  CloneWith("dev", kMiB, caller);
  CHECK(Info("dev").quota_bytes == kMiB);
  const Status full = Fill("dev", 0, 1000);
  CHECK(full.error_number() == EDQUOT);
  CHECK(Info("dev").own_bytes <= kMiB);
  CHECK(Info("dev").own_bytes > kMiB - 4 * kPageBytes);
  CHECK(Fill("dev", 0, 100).ok());  // pages it has
  REQUIRE(Cut("dev", 20).ok());
  CHECK(Fill("dev", 20, 60).ok());
  CHECK(Fill("dev", 80, 100).error_number() == EDQUOT);
  Clone("dev", "free");
  CHECK(Fill("free", 200, 300).ok());  // a clone begins with nothing of its own
}

TEST_CASE_FIXTURE(QuotasFixture, "holes of a file count once they are filled") {
  CloneWith("dev", kMiB, caller);
  REQUIRE(Fill("dev", 4000, 1).ok());
  CHECK(Fill("dev", 0, 1000).error_number() == EDQUOT);
  CHECK(Info("dev").own_bytes <= kMiB);
}

TEST_CASE_FIXTURE(QuotasFixture, "pages that zeros cut count, and those they cover do not") {
  REQUIRE(Fill("main", 0, 1000).ok());
  CloneWith("dev", kMiB, caller);
  const auto branch = *store->volume().Open("dev");
  const InodeNumber ino = branch->Lookup(branch->root(), "big")->ino;
  CHECK(branch->Zero(ino, {0, 500 * kPageBytes}, true).ok());
  Status full;
  for (uint64_t page = 500; page < 1000 && full.ok(); page += 2) {
    full = branch->Zero(ino, {page * kPageBytes + 100, kPageBytes}, true);
  }
  CHECK(full.error_number() == EDQUOT);
  CHECK(Info("dev").own_bytes <= kMiB);
}

TEST_CASE_FIXTURE(QuotasFixture, "bookmarks of a branch count for its quota, until it is reset") {
  CloneWith("dev", kMiB, caller);
  REQUIRE(Fill("dev", 0, 100).ok());
  Bookmark("dev@full");
  CHECK(Fill("dev", 0, 100).error_number() == EDQUOT);
  REQUIRE(store->replacing().Reset(caller, "dev", "dev@full", {}).ok());
  CHECK(Fill("dev", 0, 100).ok());
  REQUIRE(store->volume().SyncAll().ok());
  Reopen();
  CHECK(Fill("dev", 100, 100).error_number() == EDQUOT);
}

TEST_CASE_FIXTURE(QuotasFixture, "names count for the quota too, apart from content") {
  CloneWith("dev", kMiB, caller);
  const auto link = [this](int number) -> Status {
    VELAFS_ASSIGN(const auto branch, store->volume().Open("dev"));
    return branch
        ->Make(branch->root(), "link" + std::to_string(number),
               {.mode = S_IFLNK | 0777, .target = std::string(4000, 'x')})
        .status();
  };
  int made = 0;
  Status full;
  while (made < 1000 && (full = link(made)).ok()) ++made;
  CHECK(full.error_number() == EDQUOT);
  CHECK(made > 200);
  CHECK(made < 240);
  CHECK(Fill("dev", 0, 100).error_number() == EDQUOT);  // its name is refused
  REQUIRE(store->volume().SyncAll().ok());
  Reopen();
  CHECK(link(made).error_number() == EDQUOT);
  const auto branch = store->volume().Open("dev");
  for (int i = 0; i < 5; ++i) {
    REQUIRE((*branch)->Unlink((*branch)->root(), "link" + std::to_string(i)).ok());
  }
  CHECK(Fill("dev", 0, 1000).error_number() == EDQUOT);
  CHECK(link(0).ok());  // content that is full leaves room for names
}

TEST_CASE_FIXTURE(QuotasFixture, "a quota is changed while the branch is in use") {
  CloneWith("dev", kMiB, caller);
  CHECK(Fill("dev", 0, 200).error_number() == EDQUOT);
  CHECK(store->branches().SetQuota(caller, "dev", 4 * kMiB)->quota_bytes == 4 * kMiB);
  CHECK(Fill("dev", 0, 200).ok());
  CHECK(Fill("dev", 0, 1000).error_number() == EDQUOT);
  CHECK_FALSE(store->branches().SetQuota(caller, "dev", {})->quota_bytes);
  CHECK(Fill("dev", 0, 1000).ok());
  REQUIRE(store->branches().SetQuota(caller, "dev", kMiB).ok());
  CHECK(Fill("dev", 1000, 1).error_number() == EDQUOT);
  CHECK(Fill("dev", 0, 1000).ok());
}

TEST_CASE_FIXTURE(QuotasFixture, "a user gives no larger quota than the policy") {
  Set({{"quota", "2M"}});
  CloneWith("hers", {}, kAlice);
  CHECK(Info("hers").quota_bytes == 2 * kMiB);
  CHECK(store->branches().SetQuota(kAlice, "hers", 3 * kMiB).status().code() == Code::kRefused);
  CHECK(store->branches().SetQuota(kAlice, "hers", {}).status().code() == Code::kRefused);
  CHECK(store->branches().SetQuota(kAlice, "hers", kMiB).ok());
  CHECK(store->branches().SetQuota(caller, "hers", kMiB - 1).status().code() == Code::kUsage);
  CHECK(store->branches().SetQuota(caller, "hers", 3 * kMiB).ok());
  CloneOptions options;
  options.quota_bytes = 3 * kMiB;
  CHECK(store->branches().Clone(kAlice, "main", "more", options).status().code() == Code::kRefused);
}

TEST_CASE_FIXTURE(QuotasFixture,
                  "an owner who has used up his quota is held back until he deletes") {
  Set({{"quota_per_owner", "1M"}});
  CloneWith("one", {}, kAlice);
  CloneWith("two", {}, kAlice);
  REQUIRE(Fill("one", 0, 200).ok());
  REQUIRE(store->volume().SyncAll().ok());
  uint64_t page = 0;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  do {  // what is counted may be some seconds old
    REQUIRE(std::chrono::steady_clock::now() < deadline);
    REQUIRE(store->usage().EnforceOwnerQuotas().ok());
  } while (Fill("two", page++, 1).ok());
  CHECK(Fill("two", page, 1).error_number() == EDQUOT);
  CHECK(Fill("one", 0, 200).ok());
  CHECK(Fill("main", 0, 1).ok());  // another's
  const Status refused = store->branches().Clone(kAlice, "main", "three", {}).status();
  CHECK(refused.code() == Code::kRefused);
  test::CheckMessage(refused, "quota_per_owner");
  Delete("one", false);
  REQUIRE(store->usage().EnforceOwnerQuotas().ok());
  CHECK(Fill("two", page, 1).error_number() == EDQUOT);  // it is in the trash
  CHECK(store->branches().Clone(kAlice, "main", "three", {}).status().code() == Code::kRefused);
  REQUIRE(store->trash().Purge(caller, {}, false).ok());
  REQUIRE(store->usage().EnforceOwnerQuotas().ok());
  CHECK(Fill("two", page, 1).ok());
}

}  // namespace
}  // namespace velafs::store
