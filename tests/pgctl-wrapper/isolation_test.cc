#include "pgctl-wrapper/isolation.h"

#include <doctest/doctest.h>

using namespace velafs::pgctl;

using Paths = std::vector<std::string>;

TEST_CASE("sockets that can be connected or sent to are those that listen, and datagrams") {
  const char* const table =
      "Num       RefCount Protocol Flags    Type St Inode Path\n"
      "0000000000000000: 00000002 00000000 00010000 0001 01 11111 /run/7/.s.PGSQL.5499\n"
      "0000000000000000: 00000003 00000000 00000000 0001 03 11112 /run/8/.s.PGSQL.5499\n"
      "0000000000000000: 00000002 00000000 00000000 0002 01   113 /srv/my log/socket\n"
      "0000000000000000: 00000002 00000000 00010000 0001 01 11114 @/abstract\n"
      "0000000000000000: 00000002 00000000 00010000 0001 01 11115 relative\n"
      "0000000000000000: 00000003 00000000 00000000 0001 03 11116\n";
  CHECK(OpenSockets(table) == Paths{"/run/7/.s.PGSQL.5499", "/srv/my log/socket"});
  CHECK(OpenSockets("").empty());
}

TEST_CASE("the directory of a PostgreSQL server's socket is hidden, of another the socket") {
  const Isolation plan =
      PlanIsolationOf({"/tmp"}, {}, {"/srv/pg/.s.PGSQL.5432", "/srv/app/socket", "/tmp/x/socket"});
  CHECK(plan.hidden_dirs == Paths{"/srv/pg", "/tmp"});
  CHECK(plan.hidden_sockets == Paths{"/srv/app/socket"});
}

TEST_CASE("a directory that programs need is not hidden for a socket in it, the socket is") {
  for (const std::string dir : {"", "/usr/local/pgsql", "/etc", "/dev/shm", "/srv", "/var"}) {
    const std::string socket = dir + "/.s.PGSQL.5432";
    CAPTURE(socket);
    const Isolation plan = PlanIsolationOf({"/tmp"}, {}, {socket});
    CHECK(plan.hidden_dirs == Paths{"/tmp"});
    CHECK(plan.hidden_sockets == Paths{socket});
  }
}

TEST_CASE("a branch's own directories are kept where they would be hidden, with their sockets") {
  const Isolation plan = PlanIsolationOf(
      {"/tmp", "/store/run"}, {"/tmp/velafs-1", "/store/run/1", "/store/run/1", "/store/mnt/one"},
      {"/store/run/1/.s.PGSQL.54320", "/store/mnt/one/.s.PGSQL.5432", "/store/mnt/two/.s.PGSQL.1"});
  CHECK(plan.hidden_dirs == Paths{"/store/mnt/two", "/store/run", "/tmp"});
  CHECK(plan.kept_dirs == Paths{"/store/run/1", "/tmp/velafs-1"});
  CHECK(plan.hidden_sockets.empty());
}

TEST_CASE("a name that only begins like a hidden directory's is not in it") {
  const Isolation plan = PlanIsolationOf({"/tmp"}, {"/tmpfiles/one"}, {"/tmp2/socket"});
  CHECK(plan.kept_dirs.empty());
  CHECK(plan.hidden_sockets == Paths{"/tmp2/socket"});
}
