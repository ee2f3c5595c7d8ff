#include "velafs/os/system_call_filter.h"

#include <cerrno>
#include <cstdint>

namespace velafs::os {

SystemCallFilter::SystemCallFilter(unsigned error_number)
    : context_(seccomp_init(SCMP_ACT_ERRNO(error_number))) {}

SystemCallFilter::~SystemCallFilter() { seccomp_release(context_); }

void SystemCallFilter::Allow(const char* name, std::initializer_list<scmp_arg_cmp> when) {
  const int number = seccomp_syscall_resolve_name(name);
  if (context_ == nullptr || number == __NR_SCMP_ERROR) return;
  const int added = seccomp_rule_add_array(context_, SCMP_ACT_ALLOW, number,
                                           static_cast<unsigned>(when.size()), when.begin());
  if (added < 0 && failure_ == 0) failure_ = -added;
}

Status SystemCallFilter::Load() {
  constexpr uint32_t kSortedTree = 2;  // fewer steps to find a call than one after another
  if (context_ == nullptr) return Errno(ENOMEM);
  if (failure_ != 0) return Errno(failure_);
  seccomp_attr_set(context_, SCMP_FLTATR_CTL_OPTIMIZE, kSortedTree);
  int result = seccomp_attr_set(context_, SCMP_FLTATR_CTL_TSYNC, 1);
  if (result == 0) result = seccomp_load(context_);
  return result == 0 ? Status() : Errno(-result);
}

scmp_arg_cmp HasBits(unsigned argument, scmp_datum_t mask, scmp_datum_t bits) {
  return {.arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = bits};
}

scmp_arg_cmp IsInteger(unsigned argument, uint32_t value) {
  return HasBits(argument, UINT32_MAX, value);
}

}  // namespace velafs::os
