// Enumerations whose values have names, in documents, policies and arguments:
// one table each.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace velafs {

template <typename Value>
struct NamedValue {
  Value value;
  std::string_view name;
};

// Empty if no value has the name.
template <typename Value, size_t kCount>
constexpr std::optional<Value> ValueOf(const std::array<NamedValue<Value>, kCount>& table,
                                       std::string_view name) {
  for (const NamedValue<Value>& row : table) {
    if (row.name == name) return row.value;
  }
  return {};
}

// Empty for a value that is not in the table.
template <typename Value, size_t kCount>
constexpr std::string_view NameOf(const std::array<NamedValue<Value>, kCount>& table, Value value) {
  for (const NamedValue<Value>& row : table) {
    if (row.value == value) return row.name;
  }
  return {};
}

}  // namespace velafs
