#include "velafs/base/status.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <memory>

namespace velafs {
namespace {

TEST_CASE("success has no message, and no context gives it one") {
  const Status done = Status().WithContext("while reading").WithHint("try again");
  CHECK(done.ok());
  CHECK(done.error_number() == 0);
  CHECK(done.message().empty());
  CHECK(done.hint().empty());
}

TEST_CASE("context goes before the message, and leaves code and errno") {
  const Status failed = Refused("it is in use", "wait").WithContext("b").WithContext("a");
  CHECK(failed.code() == Code::kRefused);
  CHECK(failed.error_number() == EBUSY);
  CHECK(failed.message() == "a: b: it is in use");
  CHECK(failed.hint() == "wait");
  CHECK(Status(failed).WithHint("ask").hint() == "ask");
  CHECK(failed.hint() == "wait");
}

TEST_CASE("a failed system call keeps its errno, and says what it means") {
  const Status failed = SystemError(ENOSPC, "cannot write \"a\"");
  CHECK(failed.code() == Code::kFailed);
  CHECK(failed.error_number() == ENOSPC);
  CHECK(failed.message() == "cannot write \"a\": No space left on device");
}

TEST_CASE("every failure has an errno for the kernel and an exit status that is none of success") {
  for (const Status& failed : {Failed(""), UsageError(""), NotFound(""), Exists(""), Refused(""),
                               Locked(""), Unreachable(""), Corrupt("")}) {
    CHECK(failed.error_number() != 0);
    CHECK(ExitStatus(failed.code()) != 0);
    CHECK(CodeFromName(CodeName(failed.code())) == failed.code());
  }
  CHECK(ExitStatus(Code::kOk) == 0);
  CHECK(CodeFromName("something else") == Code::kFailed);
}

Result<int> Half(int number) {
  if (number % 2 != 0) return UsageError("it is odd");
  return number / 2;
}

Result<int> Quarter(int number) {
  VELAFS_ASSIGN(const int half, Half(number));
  return Half(half);
}

Status TryQuarter(int number, bool* went_on) {
  VELAFS_TRY(Quarter(number).status());
  *went_on = true;
  return {};
}

TEST_CASE("a failure ends the function that tries it, and a value goes on") {
  CHECK(*Quarter(8) == 2);
  CHECK(Quarter(6).status().message() == "it is odd");
  bool went_on = false;
  CHECK_FALSE(TryQuarter(5, &went_on).ok());
  CHECK_FALSE(went_on);
  CHECK(TryQuarter(4, &went_on).ok());
  CHECK(went_on);
}

TEST_CASE("a value that can only be moved is moved out") {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(7));
  REQUIRE(result.ok());
  const std::unique_ptr<int> value = *std::move(result);
  CHECK(*value == 7);
}

}  // namespace
}  // namespace velafs
