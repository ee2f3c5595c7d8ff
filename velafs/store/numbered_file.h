// Names of files that are a number and a suffix.
#pragma once

#include <charconv>
#include <cstdint>
#include <string_view>

namespace velafs::store {

// The number in "<number><suffix>", written without leading zeros; 0 for any other name.
inline uint64_t NumberOf(std::string_view name, std::string_view suffix) {
  uint64_t number = 0;
  if (!name.ends_with(suffix) || name.starts_with('0')) return 0;
  name.remove_suffix(suffix.size());
  const auto [rest, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  return error == std::errc() && rest == name.data() + name.size() ? number : 0;
}

}  // namespace velafs::store
