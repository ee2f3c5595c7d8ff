// Checks on invariants: a failed one is a bug in velafs, and aborts in release builds too. Data
// read from disk and input from users are never checked this way; they get a Status.
#pragma once

namespace velafs {

[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);

#define VELAFS_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::velafs::CheckFailed(#condition, __FILE__, __LINE__))

}  // namespace velafs
