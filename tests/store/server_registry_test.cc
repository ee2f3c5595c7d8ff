#include "velafs/store/server_registry.h"

#include <sys/stat.h>

#include <cerrno>
#include <climits>
#include <memory>
#include <thread>

#include "tests/store/branches_fixture.h"
#include "velafs/store/replace_verbs.h"
#include "velafs/store/scrub/scrub.h"
#include "velafs/store/state_verbs.h"

namespace velafs::store {
namespace {

using test::WaitingProcess;

constexpr ServerPlace kPlace{InstanceId(7), InodeNumber(1)};
constexpr ServerPlace kOther{InstanceId(8), InodeNumber(1)};
constexpr ServerPlace kInside{InstanceId(7), InodeNumber(9)};  // in the same life of a branch

uint64_t NumberOf(const std::string& directory) {
  struct stat info {};
  REQUIRE(stat(directory.c_str(), &info) == 0);
  return info.st_ino;
}

struct RegistryFixture {
  RegistryFixture() : postmaster(std::make_unique<WaitingProcess>("/")), pid(postmaster->pid()) {
    REQUIRE(servers.Claim(kPlace, NumberOf("/"), pid).ok());
  }
  Status ClaimForSomebody(const ServerPlace& place) {
    return servers.Claim(place, NumberOf(elsewhere.path()), somebody.pid());
  }
  test::ScratchDirectory elsewhere;
  const WaitingProcess somebody{elsewhere.path()};
  std::unique_ptr<WaitingProcess> postmaster;
  const pid_t pid;
  ServerRegistry servers;
};

TEST_CASE_FIXTURE(RegistryFixture, "while a server lives, its place is nobody else's") {
  CHECK(servers.On(kPlace.instance)->pid == pid);
  CHECK(servers.On(kPlace.instance)->is_postmaster);
  CHECK_FALSE(servers.On(kOther.instance));
  CHECK(servers.Any()->instance == kPlace.instance);
  CHECK(ClaimForSomebody(kPlace).error_number() == EBUSY);
  CHECK(servers.CheckMayRemove(kPlace, somebody.pid()).error_number() == EBUSY);
  CHECK(servers.CheckMayRemove(kPlace, pid).ok());
  CHECK(servers.CheckMayRemove(kOther, somebody.pid()).ok());
  CHECK(ClaimForSomebody(kOther).ok());
}

TEST_CASE_FIXTURE(RegistryFixture, "only the server itself gives its place up") {
  servers.Release(kPlace, somebody.pid());
  CHECK(servers.On(kPlace.instance)->pid == pid);
  servers.Release(kPlace, pid);
  CHECK_FALSE(servers.On(kPlace.instance));
  CHECK(ClaimForSomebody(kPlace).ok());
}

TEST_CASE_FIXTURE(RegistryFixture, "a dead server's place is free, also before it is reaped") {
  SUBCASE("reaped") { postmaster.reset(); }
  SUBCASE("a zombie") {
    kill(pid, SIGKILL);
    siginfo_t ended;
    REQUIRE(waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOWAIT) == 0);
  }
  CHECK_FALSE(servers.On(kPlace.instance));
  CHECK(servers.CheckMayRemove(kPlace, somebody.pid()).ok());
  CHECK(ClaimForSomebody(kPlace).ok());
}

TEST_CASE_FIXTURE(RegistryFixture, "a backend that outlives its postmaster counts") {
  auto backend = std::make_unique<WaitingProcess>("/");  // the same program, and directory
  postmaster.reset();
  const auto live = servers.On(kPlace.instance);
  REQUIRE(live);
  CHECK(live->pid == backend->pid());
  CHECK_FALSE(live->is_postmaster);
  CHECK(ClaimForSomebody(kPlace).error_number() == EBUSY);
  CHECK(servers.CheckMayRemove(kPlace, somebody.pid()).error_number() == EBUSY);
  backend.reset();
  CHECK_FALSE(servers.On(kPlace.instance));
  CHECK(ClaimForSomebody(kPlace).ok());
}

constexpr ServerRegistry::StopTimes kShort{std::chrono::seconds(1), std::chrono::seconds(10)};

// As the kernel ended it.
int EndSignalOf(pid_t pid) {
  siginfo_t ended{};
  REQUIRE(waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOWAIT | WNOHANG) == 0);
  return ended.si_pid == pid ? ended.si_status : 0;
}

TEST_CASE("a server is ended by a fast shutdown, and if that takes too long by an immediate one") {
  const uid_t user = geteuid() == 0 ? 65534 : geteuid();
  const WaitingProcess quick("/", user);
  const WaitingProcess slow("/", user, SIGINT);
  const WaitingProcess other("/", user);
  ServerRegistry servers;
  REQUIRE(servers.Claim({InstanceId(1), InodeNumber(1)}, NumberOf("/"), quick.pid()).ok());
  REQUIRE(servers.Claim({InstanceId(2), InodeNumber(1)}, NumberOf("/"), slow.pid()).ok());
  REQUIRE(servers.Claim({InstanceId(3), InodeNumber(1)}, NumberOf("/"), other.pid()).ok());
  CHECK(servers.Lives().size() == 3);
  servers.Stop({InstanceId(1), InstanceId(2)}, kShort);
  CHECK(EndSignalOf(quick.pid()) == SIGINT);
  CHECK(EndSignalOf(slow.pid()) == SIGQUIT);
  CHECK(EndSignalOf(other.pid()) == 0);
  CHECK(servers.On(InstanceId(3))->pid == other.pid());
}

TEST_CASE("a process of root's that marks a branch as a server does is not ended") {
  if (geteuid() != 0) {
    MESSAGE("skipped: only root has processes of root's");
    return;
  }
  const WaitingProcess roots("/");
  ServerRegistry servers;
  REQUIRE(servers.Claim(kPlace, NumberOf("/"), roots.pid()).ok());
  servers.Stop({kPlace.instance}, {std::chrono::seconds(0), std::chrono::seconds(0)});
  CHECK(EndSignalOf(roots.pid()) == 0);
  CHECK(servers.On(kPlace.instance)->pid == roots.pid());
}

TEST_CASE("a process that this PID namespace does not know can claim nothing") {
  ServerRegistry servers;
  CHECK(servers.Claim(kPlace, 1, 0).error_number() == EPERM);
  CHECK(servers.Claim(kPlace, 1, INT_MAX).error_number() == EPERM);
  CHECK_FALSE(servers.Any());
}

TEST_CASE_FIXTURE(RegistryFixture, "a branch has one server, wherever in it that works") {
  CHECK(ClaimForSomebody(kInside).error_number() == EBUSY);
  postmaster.reset();
  CHECK(ClaimForSomebody(kInside).ok());
}

TEST_CASE_FIXTURE(RegistryFixture,
                  "a process that works elsewhere is no server, as one that copies") {
  CHECK(servers.Claim(kOther, NumberOf("/"), somebody.pid()).ok());
  CHECK_FALSE(servers.On(kOther.instance));
}

TEST_CASE("a thread claims for its process") {
  ServerRegistry servers;
  std::thread([&servers] {
    CHECK(servers.Claim(kPlace, NumberOf("."), gettid()).ok());
    CHECK(servers.CheckMayRemove(kPlace, gettid()).ok());
  }).join();
  CHECK(servers.On(kPlace.instance)->pid == getpid());
}

// What a server has written into its branch to mark it as its own.
struct MarkedFixture : BranchesFixture {
  MarkedFixture() {
    layer::Branch& main = Opened("main");
    for (const char* name : {"postmaster.pid", "postmaster.opts"}) {
      REQUIRE(main.Make(main.root(), name, {.mode = S_IFREG | 0600}).ok());
    }
  }
  bool IsMarked(const std::string& name) {
    layer::Branch& branch = Opened(name);
    const bool has_lock = branch.Lookup(branch.root(), "postmaster.pid").ok();
    CHECK(branch.Lookup(branch.root(), "postmaster.opts").ok() == has_lock);
    return has_lock;
  }
};

TEST_CASE_FIXTURE(MarkedFixture, "nothing made of a running branch has the files of its server") {
  Clone("main", "clone");
  Bookmark("main@now");
  Clone("main@now", "of-bookmark");
  Clone("clone", "of-clone");
  CHECK(IsMarked("main"));
  CHECK_FALSE(IsMarked("clone"));
  CHECK_FALSE(IsMarked("of-bookmark"));
  CHECK_FALSE(IsMarked("of-clone"));
  REQUIRE(store->replacing().Reset(caller, "of-clone", "main", {}).ok());
  CHECK_FALSE(IsMarked("of-clone"));
  REQUIRE(store->replacing().Promote(caller, "main", "of-clone", false).ok());
  CHECK_FALSE(IsMarked("of-clone"));
  const auto differences = store->states().Diff("main", "clone");
  REQUIRE(differences.ok());
  CHECK(differences->empty());

  // Those of a clone's own server come and go as ever.
  layer::Branch& clone = Opened("clone");
  REQUIRE(clone.Make(clone.root(), "postmaster.pid", {.mode = S_IFREG | 0600}).ok());
  CHECK(clone.Lookup(clone.root(), "postmaster.pid").ok());
  CHECK(clone.Unlink(clone.root(), "postmaster.pid").ok());
  Reopen();
  CHECK(IsMarked("main"));
  CHECK_FALSE(IsMarked("clone"));
  const auto report = store::ScrubOpenStore(store->context(), {}, nullptr);
  REQUIRE(report.ok());
  CHECK(report->corrupt.empty());
}

}  // namespace
}  // namespace velafs::store
