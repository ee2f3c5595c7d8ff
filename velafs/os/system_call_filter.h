// The system calls that a process may make.
#pragma once

#include <seccomp.h>

#include <initializer_list>

#include "velafs/base/status.h"

namespace velafs::os {

// Sanitizers need system calls that the filters do not allow.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kIsSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kIsSanitized = true;
#else
inline constexpr bool kIsSanitized = false;
#endif
#else
inline constexpr bool kIsSanitized = false;
#endif

// One thread.
class SystemCallFilter {
 public:
  // System calls that are not allowed fail with that errno.
  explicit SystemCallFilter(unsigned error_number);
  ~SystemCallFilter();
  SystemCallFilter(const SystemCallFilter&) = delete;
  SystemCallFilter& operator=(const SystemCallFilter&) = delete;

  // By name: which calls the C library uses depends on its version and the processor. Ignores a
  // name that this machine's libseccomp does not know.
  template <typename Names>
  void Allow(const Names& names) {
    for (const char* const name : names) Allow(name, {});
  }
  // Only if all of `when` is true of its arguments.
  void Allow(const char* name, std::initializer_list<scmp_arg_cmp> when);

  // Puts the filter in force for all threads of this process. Fails if the kernel has no filters.
  Status Load();

 private:
  const scmp_filter_ctx context_;
  int failure_ = 0;
};

// True if of the bits in `mask` exactly those in `bits` are set.
scmp_arg_cmp HasBits(unsigned argument, scmp_datum_t mask, scmp_datum_t bits);
// Compares an int: ignores the upper half of the argument.
scmp_arg_cmp IsInteger(unsigned argument, uint32_t value);

}  // namespace velafs::os
