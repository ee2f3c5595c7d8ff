#include "velafs/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace velafs {

void CheckFailed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "velafs: broken invariant: %s (%s:%d)\n", condition, file, line);
  std::abort();
}

}  // namespace velafs
