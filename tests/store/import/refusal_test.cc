#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/store/store_fixture.h"
#include "velafs/store/import/import_verbs.h"
#include "velafs/store/import/source.h"

namespace velafs::store {
namespace {

using namespace test;

TEST_CASE_FIXTURE(StoreFixture, "a directory that does not exist is not found") {
  const auto result = store->imports().Import(caller, "main", scratch / "none", nullptr);
  CHECK(result.status().code() == Code::kNotFound);
  CheckMessage(result.status(),
               "cannot import \"" + scratch / "none" + "\" as \"main\": there is no");
}

TEST_CASE_FIXTURE(StoreFixture, "a directory that is no PGDATA is refused with what it lacks") {
  SUBCASE("PG_VERSION") { fs::remove(data + "/PG_VERSION"); }
  SUBCASE("global/pg_control") { fs::remove(data + "/global/pg_control"); }
  const std::string lacks =
      fs::exists(data + "/PG_VERSION") ? "it has no global/pg_control" : "it has no PG_VERSION";
  const Status refused = ImportFailure();
  CHECK(refused.code() == Code::kRefused);
  CheckMessage(refused, lacks);
}

TEST_CASE_FIXTURE(StoreFixture, "a PGDATA whose server runs is refused, with how to stop it") {
  const WaitingProcess server(data);
  WriteHostFile(data + "/postmaster.pid", std::to_string(server.pid()) + "\n" + data + "\n");
  const Status refused = ImportFailure();
  CHECK(refused.code() == Code::kRefused);
  CheckMessage(refused, "a server runs on it, process " + std::to_string(server.pid()));
  CHECK(refused.hint() == "stop it first: pg_ctl -D " + data + " stop");
}

TEST_CASE_FIXTURE(StoreFixture, "no program of another's is named in the hint to stop a server") {
  // Its directory is within one that everybody may write to.
  const std::string program = scratch / "bin/postgres";
  fs::create_directory(scratch / "bin");
  fs::copy_file("/bin/sleep", program);
  fs::copy_file("/bin/sleep", scratch / "bin/pg_ctl");
  int running[2];
  REQUIRE(pipe2(running, O_CLOEXEC) == 0);
  const pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    if (chdir(data.c_str()) == 0) execl(program.c_str(), "postgres", "1000", nullptr);
    _exit(1);
  }
  close(running[1]);
  char none = 0;
  CHECK(read(running[0], &none, 1) == 0);  // the program runs
  close(running[0]);
  WriteHostFile(data + "/postmaster.pid", std::to_string(pid) + "\n");
  const Status refused = ImportFailure();
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  CHECK(refused.hint() == "stop it first: pg_ctl -D " + data + " stop");
}

TEST_CASE_FIXTURE(StoreFixture, "a path in a hint that is to be typed is quoted") {
  const std::string named = scratch / "data $(id)";
  fs::rename(data, named);
  const WaitingProcess server(named);
  WriteHostFile(named + "/postmaster.pid", std::to_string(server.pid()) + "\n");
  const auto result = store->imports().Import(caller, "main", named, nullptr);
  CHECK(result.status().hint() == "stop it first: pg_ctl -D '" + named + "' stop");
}

TEST_CASE_FIXTURE(StoreFixture, "a single-user server, whose pid is negated, counts as running") {
  const WaitingProcess server(data);
  WriteHostFile(data + "/postmaster.pid", "-" + std::to_string(server.pid()) + "\n");
  CHECK(ImportFailure().code() == Code::kRefused);
}

TEST_CASE_FIXTURE(StoreFixture, "a stale postmaster.pid does not matter") {
  SUBCASE("its process works elsewhere") {
    const WaitingProcess other(scratch.path());
    WriteHostFile(data + "/postmaster.pid", std::to_string(other.pid()) + "\n");
    Import("main");
  }
  SUBCASE("its process is another user's, whatever it does") {
    WriteHostFile(data + "/postmaster.pid", "1\n");
    fs::permissions(scratch.path(), fs::perms(0755));  // it is read as that user
    REQUIRE(chown(data.c_str(), geteuid() + 4242, getegid()) == 0);
    const WaitingProcess other(data);
    WriteHostFile(data + "/postmaster.pid", std::to_string(other.pid()) + "\n");
    Import("main");
  }
  SUBCASE("its process is gone") {
    pid_t gone = 0;
    {
      const WaitingProcess server(data);
      gone = server.pid();
    }
    WriteHostFile(data + "/postmaster.pid", std::to_string(gone) + "\n");
    Import("main");
  }
}

TEST_CASE_FIXTURE(StoreFixture, "a server that is started meanwhile fails the import") {
  std::unique_ptr<WaitingProcess> server;
  const auto result = store->imports().Import(caller, "main", data, [&](const ImportProgress&) {
    if (server == nullptr) {
      server = std::make_unique<WaitingProcess>(data);
      WriteHostFile(data + "/postmaster.pid", std::to_string(server->pid()) + "\n");
    }
    return true;
  });
  REQUIRE_FALSE(result.ok());
  CheckMessage(result.status(), "a server runs on it");
  server.reset();  // it would hold on to the store's lock
  CheckIsEmpty();
}

TEST_CASE_FIXTURE(StoreFixture, "sockets and FIFOs are left out, each by name") {
  REQUIRE(mkfifo((data + "/base/pipe").c_str(), 0600) == 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // In a directory with a short path: a socket's address is limited.
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  REQUIRE(fd >= 0);
  const std::string path = data + "/sock";
  REQUIRE(path.size() < sizeof address.sun_path);
  path.copy(address.sun_path, path.size());
  REQUIRE(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  close(fd);
  const ImportResult result = Import("main");
  REQUIRE(result.warnings.size() == 1);
  CHECK(result.warnings[0] ==
        "left out, as pg_basebackup does: \"sock\", a socket, \"base/pipe\", a FIFO");
  const Tree tree = BranchTree("main");
  CHECK_FALSE(tree.contains("sock"));
  CHECK_FALSE(tree.contains("base/pipe"));
}

TEST_CASE_FIXTURE(StoreFixture, "of many that cannot be copied ten are named and all are counted") {
  for (int i = 0; i < 13; ++i) {
    const std::string name = "loop" + std::to_string(i);
    fs::create_symlink(name, data + "/base/" + name);
  }
  const Status refused = ImportFailure();
  CheckMessage(refused, "13 files cannot be copied");
  CheckMessage(refused, "and 3 more");
}

TEST_CASE_FIXTURE(StoreFixture, "files that cannot be read are refused by name") {
  REQUIRE(chmod(scratch.path().c_str(), 0755) == 0);
  REQUIRE(chmod((data + "/base/5/1259").c_str(), 0) == 0);
  fs::create_directory(data + "/base/6");
  REQUIRE(chmod((data + "/base/6").c_str(), 0) == 0);
  // Root may read everything, so it becomes somebody else for a while.
  const bool is_root = geteuid() == 0;
  if (is_root) REQUIRE(seteuid(65534) == 0);
  const auto found = FindSource(data, root, {geteuid(), getegid()});
  if (is_root) REQUIRE(seteuid(0) == 0);
  REQUIRE_FALSE(found.ok());
  CHECK(found.status().code() == Code::kRefused);
  CheckMessage(found.status(), "2 files cannot be copied");
  CheckMessage(found.status(), "\"" + data + "/base/5/1259\" cannot be read");
  CheckMessage(found.status(), "\"" + data + "/base/6\" cannot be read");
  fs::permissions(data + "/base/6", fs::owner_all);
}

TEST_CASE_FIXTURE(StoreFixture, "a PGDATA that the store lies in is refused") {
  store.reset();
  fs::rename(root, data + "/store");
  auto inside = Store::Open(data + "/store");
  REQUIRE(inside.ok());
  const auto result = (*inside)->imports().Import(caller, "main", data, nullptr);
  CHECK(result.status().code() == Code::kRefused);
  inside->reset();
  fs::rename(data + "/store", root);
  Reopen();
}

TEST_CASE_FIXTURE(StoreFixture, "a name that is taken or not allowed is refused before anything") {
  Import("main");
  const Status taken = ImportFailure("main");
  CHECK(taken.code() == Code::kExists);
  CheckMessage(taken, "branch \"main\" exists");
  CHECK(ImportFailure("Main").code() == Code::kUsage);
  CHECK(ImportFailure("a@b").code() == Code::kUsage);
}

TEST_CASE_FIXTURE(StoreFixture,
                  "a directory of archives is refused with the switch that takes it") {
  const std::string set = scratch / "set";
  WriteHostFile(set + "/base.tar.gz", "");
  const Status refused = store->imports().Import(caller, "main", set, nullptr).status();
  CheckMessage(refused, "it has no PG_VERSION");
  CHECK(refused.hint() == "it holds a backup's archives: --from-tar " + set + " imports those");
}

}  // namespace
}  // namespace velafs::store
