#include "velafs/base/counted.h"

namespace velafs {

std::string Counted(uint64_t count, const std::string& noun, const std::string& plural) {
  const std::string many = plural.empty() ? noun + "s" : plural;
  return std::to_string(count) + " " + (count == 1 ? noun : many);
}

}  // namespace velafs
