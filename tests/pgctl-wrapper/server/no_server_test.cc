#include "pgctl-wrapper/server/no_server.h"

#include <doctest/doctest.h>

using velafs::pgctl::TextWithoutServer;

TEST_CASE("a URL or variables that cannot be told lead nowhere") {
  const std::string socket = "postgresql:///?host=/nonexistent/no-server\n";
  CHECK(TextWithoutServer({"url", "a"}) == socket);
  CHECK(TextWithoutServer({"--store", "env", "-q", "url"}) == socket);
  CHECK(TextWithoutServer({"take", "main", "--url"}) == socket);
  CHECK(TextWithoutServer({"url", "a", "--tcp"}) == "postgresql://no-server.invalid/\n");
  for (const char* word : {"jdbc", "--format=jdbc"}) {
    CHECK(TextWithoutServer({"url", "a", "--tcp", word}) ==
          "jdbc:postgresql://no-server.invalid/\n");
  }
  CHECK(TextWithoutServer({"env", "a"}).ends_with("\nfalse\n"));
  CHECK(TextWithoutServer({"take", "main", "--env"}).starts_with("unset PGHOSTADDR PGSERVICE\n"));
}

TEST_CASE("commands that tell no server, and JSON, have nothing in its place") {
  CHECK(TextWithoutServer({}).empty());
  CHECK(TextWithoutServer({"start", "url"}).empty());
  CHECK(TextWithoutServer({"--store", "url", "status", "env"}).empty());
  CHECK(TextWithoutServer({"take", "main"}).empty());
  CHECK(TextWithoutServer({"--json", "url", "a"}).empty());
  CHECK(TextWithoutServer({"env", "a", "--json"}).empty());
}
