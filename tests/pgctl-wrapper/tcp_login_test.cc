#include "pgctl-wrapper/tcp_login.h"

#include <doctest/doctest.h>

#include "pgctl-wrapper/scram.h"

using namespace velafs::pgctl;

TEST_CASE("a verifier is what PostgreSQL makes of that password and salt") {
  const std::string salt = "\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81";
  CHECK(ScramVerifier("pencil", salt) ==
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
}

TEST_CASE("a login over TCP is read back as it was written") {
  const TcpLogin login{"0123abcd", "SCRAM-SHA-256$4096:x$y:z", 7, {"postgres", "o'neil \"x\""}};
  const auto read = ParseTcpLogin(FormatTcpLogin(login));
  REQUIRE(read);
  CHECK(read->password == login.password);
  CHECK(read->verifier == login.verifier);
  CHECK(read->instance == 7);
  CHECK(read->IsOf("o'neil \"x\""));
  CHECK_FALSE(read->IsOf("app"));
}

TEST_CASE("what is no login over TCP is none") {
  for (const char* text : {"", "{", "[]", "{}", R"({"password":"","verifier":"v"})",
                           R"({"password":"p"})", R"({"password":1,"verifier":2})"}) {
    CAPTURE(text);
    CHECK_FALSE(ParseTcpLogin(text));
  }
  const auto odd = ParseTcpLogin(R"({"password":"p","verifier":"v","instance":"x","roles":[1]})");
  REQUIRE(odd);
  CHECK(odd->instance == 0);
  CHECK(odd->roles.empty());
}
