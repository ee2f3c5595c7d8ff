#include "velafs/base/units.h"

#include <doctest/doctest.h>

#include <limits>

namespace velafs {
namespace {

constexpr TimeNs kSecond = 1'000'000'000;

TEST_CASE("a size is a whole number of bytes that a catalog can hold") {
  const auto bytes = [](const char* text) {
    const Result<uint64_t> size = ParseSize(text);
    REQUIRE_MESSAGE(size.ok(), text);
    return *size;
  };
  CHECK(bytes("0") == 0);
  CHECK(bytes("64K") == 65536);
  CHECK(bytes("9223372036854775807") == std::numeric_limits<int64_t>::max());
  CHECK(bytes("8388607T") == uint64_t{8388607} << 40);
  for (const char* text : {"9223372036854775808", "18446744073709551615", "18446744073709551616",
                           "8388608T", "16777215T", "9007199254740992K", "-1", "", "1KB", "K"}) {
    CHECK_MESSAGE(ParseSize(text).status().code() == Code::kUsage, text);
  }
}

TEST_CASE("a duration is of a hundred years at most") {
  REQUIRE(ParseDuration("36600d").ok());
  for (const char* text : {"36601d", "3162240001s", "18446744073709551617s", "213503982334602d",
                           "0s", "-1s", "1", "s"}) {
    CHECK_MESSAGE(ParseDuration(text).status().code() == Code::kUsage, text);
  }
}

TEST_CASE("a time that cannot be told in nanoseconds is none") {
  const Result<TimeNs> last = ParseTime("2262-04-11T23:47:14Z");
  REQUIRE(last.ok());
  CHECK(FormatTime(*last) == "2262-04-11T23:47:14Z");
  CHECK(*last <= std::numeric_limits<TimeNs>::max() - kSecond);
  CHECK(ParseTime("1677-09-21T00:12:46Z").ok());
  for (const char* text : {"2262-04-11T23:47:16Z", "2300-01-01T00:00:00Z", "9999-12-31 23:59",
                           "1677-09-20T00:00:00Z", "0001-01-01T00:00:00Z"}) {
    CHECK_MESSAGE(ParseTime(text).status().code() == Code::kUsage, text);
  }
}

TEST_CASE("a file's time further off than nanoseconds reach becomes the last they do") {
  CHECK(ToTimeNs({.tv_sec = 1, .tv_nsec = 2}) == kSecond + 2);
  CHECK(ToTimeNs({.tv_sec = -1, .tv_nsec = 2}) == -kSecond + 2);
  // ext4 has times up to the year 2446.
  CHECK(ToTimeNs({.tv_sec = 15032385535, .tv_nsec = 0}) == std::numeric_limits<TimeNs>::max());
  CHECK(ToTimeNs({.tv_sec = -15032385535, .tv_nsec = 0}) == std::numeric_limits<TimeNs>::min());
}

}  // namespace
}  // namespace velafs
