#include "pgctl-wrapper/data/schema_text.h"

#include <algorithm>
#include <sstream>
#include <string_view>

namespace velafs::pgctl {
namespace {

// The programs draw 63 letters and digits.
constexpr size_t kLeastKeyLength = 32;

bool IsAlphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool HasRestrictKey(std::string_view line) {
  for (const std::string_view command : {"\\restrict ", "\\unrestrict "}) {
    if (!line.starts_with(command)) continue;
    const std::string_view key = line.substr(command.size());
    return key.size() >= kLeastKeyLength && std::all_of(key.begin(), key.end(), IsAlphanumeric);
  }
  return false;
}

}  // namespace

std::string WithoutRestrictKeys(const std::string& dump) {
  std::istringstream lines(dump);
  std::string schema;
  for (std::string line; std::getline(lines, line);) {
    if (!HasRestrictKey(line)) schema += line + "\n";
  }
  return schema;
}

}  // namespace velafs::pgctl
