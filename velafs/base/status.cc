#include "velafs/base/status.h"

#include <array>
#include <cerrno>
#include <system_error>

namespace velafs {
namespace {

struct CodeRow {
  Code code;
  const char* name;
  int exit_status;
};

constexpr std::array kCodes = {
    CodeRow{Code::kOk, "ok", 0},           CodeRow{Code::kFailed, "failed", 1},
    CodeRow{Code::kUsage, "usage", 2},     CodeRow{Code::kNotFound, "not_found", 3},
    CodeRow{Code::kExists, "exists", 7},   CodeRow{Code::kRefused, "refused", 4},
    CodeRow{Code::kLocked, "locked", 5},   CodeRow{Code::kUnreachable, "unreachable", 5},
    CodeRow{Code::kCorrupt, "corrupt", 6},
};

const CodeRow& RowOf(Code code) {
  for (const CodeRow& row : kCodes) {
    if (row.code == code) return row;
  }
  VELAFS_CHECK(false && "a code without a row");
  return kCodes[0];
}

const std::string kEmpty;

std::string ErrnoText(int error_number) { return std::generic_category().message(error_number); }

}  // namespace

const std::string& Status::message() const { return detail_ ? detail_->message : kEmpty; }
const std::string& Status::hint() const { return detail_ ? detail_->hint : kEmpty; }

Status&& Status::WithContext(std::string_view context) && {
  if (detail_) detail_->message = std::string(context) + ": " + detail_->message;
  return std::move(*this);
}

Status&& Status::WithHint(std::string hint) && {
  if (detail_) detail_->hint = std::move(hint);
  return std::move(*this);
}

Status Failed(std::string message, std::string hint) {
  return {Code::kFailed, EIO, std::move(message), std::move(hint)};
}
Status UsageError(std::string message, std::string hint) {
  return {Code::kUsage, EINVAL, std::move(message), std::move(hint)};
}
Status NotFound(std::string message, std::string hint) {
  return {Code::kNotFound, ENOENT, std::move(message), std::move(hint)};
}
Status Exists(std::string message, std::string hint) {
  return {Code::kExists, EEXIST, std::move(message), std::move(hint)};
}
Status Refused(std::string message, std::string hint) {
  return {Code::kRefused, EBUSY, std::move(message), std::move(hint)};
}
Status Locked(std::string message, std::string hint) {
  return {Code::kLocked, EAGAIN, std::move(message), std::move(hint)};
}
Status Unreachable(std::string message, std::string hint) {
  return {Code::kUnreachable, ENOTCONN, std::move(message), std::move(hint)};
}
Status Corrupt(std::string message, std::string hint) {
  return {Code::kCorrupt, EIO, std::move(message), std::move(hint)};
}

Status SystemError(int error_number, std::string_view what) {
  return {Code::kFailed, error_number, std::string(what) + ": " + ErrnoText(error_number)};
}

Status Errno(int error_number) { return {Code::kFailed, error_number, ErrnoText(error_number)}; }

int ExitStatus(Code code) { return RowOf(code).exit_status; }

const char* CodeName(Code code) { return RowOf(code).name; }

Code CodeFromName(std::string_view name) {
  for (const CodeRow& row : kCodes) {
    if (name == row.name) return row.code;
  }
  return Code::kFailed;
}

}  // namespace velafs
