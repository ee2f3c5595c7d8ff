// The system calls that a process may make.
#pragma once

#include <seccomp.h>

#include <initializer_list>

#include "velafs/base/status.h"

namespace velafs::os {

// Sanitizers' runtimes look into the process they are in, by means that others must not have.
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
  // What is not allowed fails with that errno.
  explicit SystemCallFilter(unsigned error_number);
  ~SystemCallFilter();
  SystemCallFilter(const SystemCallFilter&) = delete;
  SystemCallFilter& operator=(const SystemCallFilter&) = delete;

  // By name, since what the C library uses for a function differs with its version and the
  // processor; a name that this machine's libseccomp does not know is left out.
  template <typename Names>
  void Allow(const Names& names) {
    for (const char* const name : names) Allow(name, {});
  }
  // Only when all of `when` is true of its arguments.
  void Allow(const char* name, std::initializer_list<scmp_arg_cmp> when);

  // In force for all threads of this process from now on. Fails where the kernel has no filters.
  Status Load();

 private:
  const scmp_filter_ctx context_;
  int failure_ = 0;
};

// Of the bits of `mask`, just those of `bits` are set.
scmp_arg_cmp HasBits(unsigned argument, scmp_datum_t mask, scmp_datum_t bits);
// The upper half of an int means nothing.
scmp_arg_cmp IsInteger(unsigned argument, uint32_t value);

}  // namespace velafs::os
