// Status and Result: how every fallible call in velafs reports its outcome.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "velafs/base/check.h"

namespace velafs {

// The kind of a failure, as a user of the command line sees it. `ExitStatus` and `CodeName`
// give the documented exit status and the `error.code` of JSON output.
enum class Code {
  kOk,
  kFailed,       // anything without a better word; carries an errno where a system call failed
  kUsage,        // the words of the command are wrong: a bad name, a bad size
  kNotFound,     // no such store, branch or bookmark
  kExists,       // the name is taken
  kRefused,      // protected, not yours, forbidden by policy, in use
  kLocked,       // somebody else holds the store
  kUnreachable,  // the daemon does not answer
  kCorrupt,      // stored bytes differ from the bytes written
};

// The outcome of a call: nothing on success, else a code, an errno, a message and maybe a hint.
// One pointer wide; success allocates nothing. Thread-compatible.
//
// Messages follow the house form: lower case, objects in double quotes, no full stop. The errno is
// the one a FUSE request answers with, chosen where the failure happens.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, int error_number, std::string message, std::string hint = {})
      : detail_(std::make_unique<Detail>(
            Detail{code, error_number, std::move(message), std::move(hint)})) {
    VELAFS_CHECK(code != Code::kOk);
  }
  Status(Status&&) noexcept = default;
  Status& operator=(Status&&) noexcept = default;
  Status(const Status& other)
      : detail_(other.detail_ ? std::make_unique<Detail>(*other.detail_) : nullptr) {}
  Status& operator=(const Status& other) {
    if (this != &other)
      detail_ = other.detail_ ? std::make_unique<Detail>(*other.detail_) : nullptr;
    return *this;
  }

  bool ok() const { return detail_ == nullptr; }
  Code code() const { return detail_ ? detail_->code : Code::kOk; }
  // The errno for a FUSE reply; 0 on success, never 0 on failure.
  int error_number() const { return detail_ ? detail_->error_number : 0; }
  const std::string& message() const;
  const std::string& hint() const;

  // The same failure with `context` and ": " before its message. No-op on success.
  Status&& WithContext(std::string_view context) &&;
  // The same failure with another hint. No-op on success.
  Status&& WithHint(std::string hint) &&;

 private:
  struct Detail {
    Code code;
    int error_number;
    std::string message;
    std::string hint;
  };
  std::unique_ptr<Detail> detail_;
};

// Failures by kind. The errno in brackets is what a FUSE request would answer.
Status Failed(std::string message, std::string hint = {});       // [EIO]
Status UsageError(std::string message, std::string hint = {});   // [EINVAL]
Status NotFound(std::string message, std::string hint = {});     // [ENOENT]
Status Exists(std::string message, std::string hint = {});       // [EEXIST]
Status Refused(std::string message, std::string hint = {});      // [EBUSY]
Status Locked(std::string message, std::string hint = {});       // [EAGAIN]
Status Unreachable(std::string message, std::string hint = {});  // [ENOTCONN]
Status Corrupt(std::string message, std::string hint = {});      // [EIO]
// A failed system call: message `what: strerror(error_number)`.
Status SystemError(int error_number, std::string_view what);
// A plain errno for a FUSE reply, with strerror as its message.
Status Errno(int error_number);

// Exit status of the command line for a code: README's table (0 done ... 7 exists already).
int ExitStatus(Code code);
// `error.code` in JSON: "failed", "usage", "not_found", "exists", "refused", "locked",
// "unreachable", "corrupt".
const char* CodeName(Code code);
// The inverse of CodeName; kFailed for an unknown name.
Code CodeFromName(std::string_view name);

// A value or a failed Status.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}                               // NOLINT: implicit
  Result(Status status) : state_(std::move(status)) { VELAFS_CHECK(!ok()); }  // NOLINT: implicit

  bool ok() const { return std::holds_alternative<T>(state_); }
  Status status() const& { return ok() ? Status() : std::get<Status>(state_); }
  Status status() && { return ok() ? Status() : std::move(std::get<Status>(state_)); }

  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(value()); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  T& value() {
    VELAFS_CHECK(ok());
    return *std::get_if<T>(&state_);
  }
  const T& value() const {
    VELAFS_CHECK(ok());
    return *std::get_if<T>(&state_);
  }

  std::variant<T, Status> state_;
};

#define VELAFS_CONCAT_INNER(a, b) a##b
#define VELAFS_CONCAT(a, b) VELAFS_CONCAT_INNER(a, b)

// Returns from the calling function when `expression` is a failed Status.
#define VELAFS_TRY(expression)                                          \
  do {                                                                  \
    if (::velafs::Status try_status = (expression); !try_status.ok()) { \
      return try_status;                                                \
    }                                                                   \
  } while (false)

// `VELAFS_ASSIGN(auto x, F())`: x is F's value, or the calling function returns F's failure.
#define VELAFS_ASSIGN(target, expression) \
  VELAFS_ASSIGN_INNER(VELAFS_CONCAT(try_result_, __LINE__), target, expression)
#define VELAFS_ASSIGN_INNER(result, target, expression) \
  auto result = (expression);                           \
  if (!result.ok()) return std::move(result).status();  \
  target = *std::move(result)

}  // namespace velafs
