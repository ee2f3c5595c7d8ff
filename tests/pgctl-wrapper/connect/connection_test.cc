#include "pgctl-wrapper/connect/connection.h"

#include <doctest/doctest.h>

using namespace velafs::pgctl;

namespace {

const Connection kPlain{"/srv/store/run/7", 54321, "postgres", "postgres"};

}  // namespace

TEST_CASE("a URL names role, database, socket directory and port") {
  CHECK(Url(kPlain) == "postgresql://postgres@/postgres?host=/srv/store/run/7&port=54321");
}

TEST_CASE("characters with a meaning in URLs are percent-encoded") {
  CHECK(Url({"/my store/a&b=c%d", 5432, "o'neil@corp", "shop/eu ä"}) ==
        "postgresql://o%27neil%40corp@/shop%2Feu%20%C3%A4"
        "?host=/my%20store/a%26b%3Dc%25d&port=5432");
}

TEST_CASE("over TCP a URL names the password, and 127.0.0.1") {
  const Connection odd{"/srv", 5432, "o'neil@corp", "shop/eu ä", "p:a/s%s w&d"};
  CHECK(Url(odd) ==
        "postgresql://o%27neil%40corp:p%3Aa%2Fs%25s%20w%26d@127.0.0.1:5432/shop%2Feu%20%C3%A4");
  CHECK(JdbcUrl(odd) ==
        "jdbc:postgresql://127.0.0.1:5432/shop%2Feu%20%C3%A4?user=o%27neil%40corp"
        "&password=p%3Aa%2Fs%25s%20w%26d");
  const Environment environment = WithConnection({{"PGPASSWORD", "another"}}, odd);
  CHECK(environment.at("PGHOST") == "127.0.0.1");
  CHECK(environment.at("PGPASSWORD") == "p:a/s%s w&d");
  CHECK(environment.at("DATABASE_URL") == Url(odd));
}

TEST_CASE("shell commands survive quotes in names") {
  const std::string text = ShellExports({"/it's here", 1, "u", "d"});
  CHECK(text.find("export PGHOST='/it'\\''s here'\n") != std::string::npos);
}

TEST_CASE("shell commands set every variable and unset those that would override them") {
  CHECK(ShellExports(kPlain) ==
        "unset PGHOSTADDR PGSERVICE\n"
        "export PGHOST='/srv/store/run/7'\n"
        "export PGPORT='54321'\n"
        "export PGUSER='postgres'\n"
        "export PGDATABASE='postgres'\n"
        "export DATABASE_URL="
        "'postgresql://postgres@/postgres?host=/srv/store/run/7&port=54321'\n");
}

TEST_CASE("an environment gets the connection in place of the caller's own") {
  const Environment environment = WithConnection({{"PGHOST", "production"},
                                                  {"PGHOSTADDR", "10.0.0.1"},
                                                  {"PGSERVICE", "production"},
                                                  {"PGPASSWORD", "kept"},
                                                  {"TERM", "xterm"}},
                                                 kPlain);
  CHECK(environment == Environment{{"PGHOST", "/srv/store/run/7"},
                                   {"PGPORT", "54321"},
                                   {"PGUSER", "postgres"},
                                   {"PGDATABASE", "postgres"},
                                   {"DATABASE_URL", Url(kPlain)},
                                   {"PGPASSWORD", "kept"},
                                   {"TERM", "xterm"}});
}
