#include "pgctl-wrapper/connect/tcp_login.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>

#include "pgctl-wrapper/connect/scram.h"
#include "pgctl-wrapper/process/text_file.h"

using namespace velafs;
using namespace velafs::pgctl;

TEST_CASE("a verifier is what PostgreSQL makes of that password and salt") {
  const std::string salt = "\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81";
  CHECK(ScramVerifier("pencil", salt) ==
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
}

TEST_CASE("each start makes another password, whose verifier is known to be velapg's") {
  const std::string password = NewPassword();
  CHECK(password.size() == 40);
  CHECK(password != NewPassword());
  CHECK(NewVerifier(password) != NewVerifier(password));
  // As the statement that takes earlier passwords away looks for them.
  CHECK(NewVerifier(password).starts_with("SCRAM-SHA-256$4096:dmVsYXBn"));
}

TEST_CASE("a login over TCP is read back as it was written") {
  const TcpLogin login{"0123abcd", "o'neil \"x\""};
  CHECK(ParseTcpLogin(FormatTcpLogin(login)) == login);
}

TEST_CASE("what is no login over TCP is none") {
  for (const char* text : {"", "{", "[]", "{}", R"({"password":"","role":"r"})",
                           R"({"password":"p"})", R"({"password":1,"role":2})"}) {
    CAPTURE(text);
    CHECK_FALSE(ParseTcpLogin(text));
  }
}

TEST_CASE("the login of a server that has ended is removed, another one's stays") {
  const std::filesystem::path dir =
      std::filesystem::temp_directory_path() / ("login-" + std::to_string(getpid()));
  std::filesystem::create_directories(dir);
  RunDir run_dir;
  run_dir.path = dir;
  const TcpLogin before{"p1", "postgres"};
  const TcpLogin after{"p2", "postgres"};
  REQUIRE(WriteTextFile(dir / "tcp-login.json", FormatTcpLogin(after)).ok());
  CHECK(ForgetTcpLogin(run_dir, before).ok());
  CHECK(ForgetTcpLogin(run_dir, std::nullopt).ok());
  CHECK(ReadTcpLogin(run_dir) == after);
  CHECK(ForgetTcpLogin(run_dir, after).ok());
  CHECK_FALSE(std::filesystem::exists(dir / "tcp-login.json"));
  CHECK(ForgetTcpLogin(run_dir, after).ok());
  std::filesystem::remove_all(dir);
}
