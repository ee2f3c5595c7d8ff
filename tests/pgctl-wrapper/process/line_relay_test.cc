#include "pgctl-wrapper/process/line_relay.h"

#include <doctest/doctest.h>

using namespace velafs::pgctl;

TEST_CASE("lines come out whole, however the stream is cut, each after the prefix") {
  LineRelay relay("[1] ");
  CHECK(relay.Take("a").empty());
  CHECK(relay.Take("b\nc\n\nd") == "[1] ab\n[1] c\n[1] \n");
  CHECK(relay.Take("\n") == "[1] d\n");
  CHECK(relay.Finish().empty());
}

TEST_CASE("a last line without its end gets one") {
  LineRelay relay("");
  CHECK(relay.Take("x\ny") == "x\n");
  CHECK(relay.Finish() == "y\n");
  CHECK(relay.Finish().empty());
}

TEST_CASE("a line of any bytes passes unchanged") {
  LineRelay relay("");
  const std::string line{'a', '\0', '\r', '\xff', '\n'};
  CHECK(relay.Take(line) == line);
}

TEST_CASE("a line that does not end is broken before it takes too much memory") {
  LineRelay relay("> ");
  const std::string piece(LineRelay::kLongestLineBytes - 1, 'x');
  CHECK(relay.Take(piece).empty());
  CHECK(relay.Take("y") == "> " + piece + "y\n");
  CHECK(relay.Take("z\n") == "> z\n");
}
