#include "pgctl-wrapper/connect/clients.h"

#include <doctest/doctest.h>

using namespace velafs::pgctl;

TEST_CASE("a server's clients on its Unix socket are those accepted, not the listener or others") {
  const char* const table =
      "Num       RefCount Protocol Flags    Type St Inode Path\n"
      "0000000000000000: 00000002 00000000 00010000 0001 01 11111 /run/7/.s.PGSQL.5499\n"
      "0000000000000000: 00000003 00000000 00000000 0001 03 11112 /run/7/.s.PGSQL.5499\n"
      "0000000000000000: 00000003 00000000 00000000 0001 03   113 /run/7/.s.PGSQL.5499\n"
      "0000000000000000: 00000003 00000000 00000000 0001 03 11114 /run/7/.s.PGSQL.54990\n"
      "0000000000000000: 00000003 00000000 00000000 0001 03 11115 /run/my runs/.s.PGSQL.5499\n"
      "0000000000000000: 00000003 00000000 00000000 0001 03 11116\n";
  CHECK(CountUnixClients(table, "/run/7/.s.PGSQL.5499") == 2);
  CHECK(CountUnixClients(table, "/run/my runs/.s.PGSQL.5499") == 1);
  CHECK(CountUnixClients(table, "/run/8/.s.PGSQL.5499") == 0);
  CHECK(CountUnixClients("", "/run/8/.s.PGSQL.5499") == 0);
}

TEST_CASE("a server's clients over TCP have its port as the local one and are established") {
  const char* const table =  // 0x157B is 5499
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\n"
      "   0: 0100007F:157B 00000000:0000 0A 00000000:00000000 00:00000000 00000000\n"
      "   1: 0100007F:157B 0100007F:C001 01 00000000:00000000 00:00000000 00000000\n"
      "   2: 0100007F:C001 0100007F:157B 01 00000000:00000000 00:00000000 00000000\n"
      "  13: 0100007F:157B 0100007F:C002 06 00000000:00000000 00:00000000 00000000\n"
      " 114: 00000000000000000000000001000000:157B 00000000000000000000000001000000:C003 01 0:0\n";
  CHECK(CountTcpClients(table, 5499) == 2);
  CHECK(CountTcpClients(table, 5498) == 0);
}
