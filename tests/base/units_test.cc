#include "velafs/base/units.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <ctime>
#include <limits>

#include "velafs/base/local_time.h"

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
  CHECK(bytes("64KiB") == 65536);
  CHECK(bytes("64kB") == 64000);
  CHECK(bytes("10GB") == 10'000'000'000);
  CHECK(bytes("10GiB") == uint64_t{10} << 30);
  CHECK(bytes("10g") == uint64_t{10} << 30);
  CHECK(bytes("7B") == 7);
  CHECK(bytes("9223372036854775807") == std::numeric_limits<int64_t>::max());
  CHECK(bytes("8388607T") == uint64_t{8388607} << 40);
  for (const char* text :
       {"9223372036854775808", "18446744073709551615", "18446744073709551616", "8388608T",
        "16777215T", "9007199254740992K", "-1", "", "1KiBs", "1 K", "K"}) {
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

TEST_CASE("what is too large is called that") {
  CHECK(ParseDuration("99999999999999999999999d").status().message().ends_with("is too long"));
  CHECK(ParseDuration("36601d").status().message().ends_with("is too long"));
  CHECK(ParseSize("99999999999999999999999").status().message().ends_with("is too large"));
}

TEST_CASE("a time may be relative to now, or of today or yesterday") {
  const auto at = [](const char* text) {
    const Result<TimeNs> time = ParseTime(text);
    REQUIRE_MESSAGE(time.ok(), text);
    return *time;
  };
  constexpr TimeNs kHour = 3600 * kSecond;
  const TimeNs now = NowNs();
  CHECK(at("now") - now < kHour);
  for (const char* text : {"2h ago", "-2h"}) {
    const TimeNs time = at(text);
    CHECK(time <= NowNs() - 2 * kHour);
    CHECK(time >= now - 2 * kHour);
  }
  CHECK(at("today 14:00") == at("14:00"));
  CHECK(at("14:00:30") == at("14:00") + 30 * kSecond);
  const TimeNs day = at("14:00") - at("yesterday 14:00");  // some have 23 or 25 hours
  CHECK(day >= 23 * kHour);
  CHECK(day <= 25 * kHour);
  CHECK(at("yesterday 00:00") == at("yesterday"));
  for (const char* text : {"2h", "-2", "ago", "25:00", "14:00 today", "yesterdayx", "14:00:61x"}) {
    CHECK_MESSAGE(ParseTime(text).status().code() == Code::kUsage, text);
  }
}

TEST_CASE("a local time is shown with its offset") {
  setenv("TZ", "UTC-5", 1);  // five hours east
  tzset();
  CHECK(FormatLocalTime(0) == "1970-01-01 05:00:00 +0500");
  CHECK(ParseTime("1970-01-01 05:00:00").ok());
  unsetenv("TZ");
  tzset();
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
