#include "pgctl-wrapper/command/own_words.h"

#include <algorithm>
#include <string_view>

namespace velafs::pgctl {
namespace {

constexpr std::string_view kWithValue[] = {"--config", "--store", "--user", "--dbname", "--pgbin"};
constexpr std::string_view kWithoutValue[] = {"--json", "--superuser", "--help"};

// How many words the option takes; 0 of a word that is no option of `velapg psql`.
size_t LengthOf(const std::string& word) {
  if (std::ranges::count(kWithoutValue, word) > 0) return 1;
  for (const std::string_view option : kWithValue) {
    if (word == option) return 2;
    if (word.starts_with(std::string(option) + "=")) return 1;
  }
  return 0;
}

}  // namespace

size_t OwnWords(const std::vector<std::string>& words) {
  const auto dashes = static_cast<size_t>(std::ranges::find(words, "--") - words.begin());
  bool is_psql = false;
  bool is_named = false;
  for (size_t i = 0; i < dashes;) {
    const size_t option = LengthOf(words[i]);
    if (option == 0 && is_named) return i;
    const bool is_positional = option == 0 && !words[i].starts_with('-');
    if (is_positional && !is_psql && words[i] != "psql") return dashes;
    is_named = is_named || (is_positional && is_psql);
    is_psql = is_psql || is_positional;
    i += std::max<size_t>(option, 1);
  }
  return dashes;
}

}  // namespace velafs::pgctl
