#include "velafs/base/text.h"

#include <doctest/doctest.h>

namespace velafs {
namespace {

TEST_CASE("what a terminal would act on is shown in words") {
  CHECK(Printable("plain, \"quoted\" \\ and ä€𐍈") == "plain, \"quoted\" \\ and ä€𐍈");
  CHECK(Printable("a\nb\tc\r") == "a\\nb\\tc\\x0d");
  CHECK(Printable("\x1b[2J\x7f") == "\\x1b[2J\\x7f");
  CHECK(Printable(std::string_view("a\0b", 3)) == "a\\x00b");
  CHECK(Printable("\xc2\x9b"
                  "2J") == "\\x9b2J");
  CHECK(Printable("\xe2\x80\xae"
                  "abc") == "\\u202eabc");
  CHECK(Printable("\xff\xc3") == "\\xff\\xc3");
}

TEST_CASE("a path is one word of a shell's command line") {
  CHECK(ShellWord("/srv/pg-15/main_1.2@x:+") == "/srv/pg-15/main_1.2@x:+");
  CHECK(ShellWord("").size() == 2);
  CHECK(ShellWord("/a b") == "'/a b'");
  CHECK(ShellWord("/$(id)") == "'/$(id)'");
  CHECK(ShellWord("it's") == "'it'\\''s'");
}

TEST_CASE("text is UTF-8 when every character is spelled as it must be") {
  CHECK(IsUtf8(""));
  CHECK(IsUtf8("a\xc3\xa4\xe2\x82\xac\xf0\x90\x8d\x88"));
  for (const char* text : {"\xff", "\xc3", "\xc3(", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80",
                           "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\x80"}) {
    CAPTURE(Printable(text));
    CHECK_FALSE(IsUtf8(text));
  }
}

TEST_CASE("free text may hold anything but NUL, a word no control character") {
  CHECK(CheckText("note", "two\nlines", 20).ok());
  CHECK(CheckText("note", "12345", 4).message() == "note is longer than 4 bytes");
  CHECK(CheckText("note", std::string_view("\0", 1), 4).message() == "note contains a NUL");
  CHECK(CheckText("note", "\xff", 4).message() == "note is not UTF-8");
  CHECK(CheckWord("owner", "zoë", 20).ok());
  CHECK(CheckWord("owner", "a\nb", 20).message() == "owner contains a control character");
  CHECK(CheckWord("owner", "\xc2\x85", 20).code() == Code::kUsage);
}

}  // namespace
}  // namespace velafs
