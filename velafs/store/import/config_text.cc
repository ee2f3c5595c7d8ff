#include "velafs/store/import/config_text.h"

#include <algorithm>
#include <cctype>

namespace velafs::store {
namespace {

constexpr std::string_view kBlanks = " \t\r\f\v";

void SkipBlanks(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
}

// The rest of a quoted value, whose first quote is taken. A quote in it is doubled, or has a
// backslash before it.
std::string TakeQuoted(std::string_view& text) {
  std::string value;
  while (!text.empty()) {
    const char c = text[0];
    text.remove_prefix(1);
    if (c == '\'' && !text.starts_with('\'')) return value;
    if ((c == '\'' || c == '\\') && !text.empty()) {
      value += text[0];
      text.remove_prefix(1);
    } else {
      value += c;
    }
  }
  return value;
}

std::string TakeValue(std::string_view& text) {
  if (text.starts_with('\'')) {
    text.remove_prefix(1);
    return TakeQuoted(text);
  }
  return std::string(text.substr(0, text.find_first_of(" \t\r\f\v#")));
}

}  // namespace

std::vector<ConfigLine> ParseConfig(std::string_view text) {
  std::vector<ConfigLine> lines;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    SkipBlanks(line);
    const std::string_view name = line.substr(0, line.find_first_of(" \t\r\f\v=#'"));
    if (name.empty()) continue;
    line.remove_prefix(name.size());
    SkipBlanks(line);
    if (line.starts_with('=')) line.remove_prefix(1);
    SkipBlanks(line);
    if (line.empty() || line.starts_with('#')) continue;
    ConfigLine parsed{std::string(name), TakeValue(line)};
    std::ranges::transform(parsed.name, parsed.name.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    lines.push_back(std::move(parsed));
  }
  return lines;
}

std::string ValueIn(const std::vector<ConfigLine>& lines, std::string_view name) {
  const auto last = std::find_if(lines.rbegin(), lines.rend(),
                                 [name](const ConfigLine& line) { return line.name == name; });
  return last == lines.rend() ? "" : last->value;
}

}  // namespace velafs::store
