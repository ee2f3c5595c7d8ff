#include "velafs/base/text.h"

#include <array>
#include <cstdint>
#include <cstdio>

namespace velafs {
namespace {

// A character of UTF-8, or one byte that is none.
struct Character {
  size_t bytes = 1;
  bool is_utf8 = false;
  uint32_t code = 0;
};

Character CharacterAt(std::string_view text) {
  const auto byte = [&text](size_t at) { return static_cast<unsigned char>(text[at]); };
  const uint32_t first = byte(0);
  if (first < 0x80) return {1, true, first};
  const size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc0 || first >= 0xf8 || text.size() < bytes) return {1, false, first};
  uint32_t code = first & (0x7f >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {1, false, first};
    code = code << 6 | (byte(i) & 0x3f);
  }
  constexpr std::array<uint32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  const bool is_surrogate = code >= 0xd800 && code < 0xe000;
  if (code < kSmallest[bytes] || code > 0x10ffff || is_surrogate) return {1, false, first};
  return {bytes, true, code};
}

bool IsControl(uint32_t code) { return code < 0x20 || (code >= 0x7f && code < 0xa0); }

// Line and paragraph separators, and what changes the order in which characters are shown.
bool IsLayout(uint32_t code) {
  return code == 0x200e || code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069);
}

template <typename... Values>
std::string Format(const char* format, Values... values) {
  char text[16];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

std::string Escaped(const Character& character) {
  if (character.code == '\n') return "\\n";
  if (character.code == '\t') return "\\t";
  return Format(character.code > 0xff ? "\\u%04x" : "\\x%02x", character.code);
}

template <typename Visit>
void ForEachCharacter(std::string_view text, const Visit& visit) {
  while (!text.empty()) {
    const Character character = CharacterAt(text);
    visit(character, text.substr(0, character.bytes));
    text.remove_prefix(character.bytes);
  }
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string shown;
  ForEachCharacter(text, [&shown](const Character& character, std::string_view bytes) {
    const bool is_shown =
        character.is_utf8 && !IsControl(character.code) && !IsLayout(character.code);
    shown += is_shown ? std::string(bytes) : Escaped(character);
  });
  return shown;
}

bool IsUtf8(std::string_view text) {
  bool is_utf8 = true;
  ForEachCharacter(text, [&is_utf8](const Character& character, std::string_view) {
    is_utf8 = is_utf8 && character.is_utf8;
  });
  return is_utf8;
}

Status CheckText(std::string_view what, std::string_view text, size_t max_bytes) {
  const std::string subject(what);
  if (text.size() > max_bytes) {
    return UsageError(subject + " is longer than " + std::to_string(max_bytes) + " bytes");
  }
  if (!IsUtf8(text)) return UsageError(subject + " is not UTF-8");
  if (text.find('\0') != std::string_view::npos) return UsageError(subject + " contains a NUL");
  return {};
}

std::string Quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

std::string ShellWord(std::string_view text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._@:+-";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string_view::npos) {
    return std::string(text);
  }
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return word + "'";
}

Status CheckWord(std::string_view what, std::string_view text, size_t max_bytes) {
  VELAFS_TRY(CheckText(what, text, max_bytes));
  bool has_control = false;
  ForEachCharacter(text, [&has_control](const Character& character, std::string_view) {
    has_control = has_control || IsControl(character.code);
  });
  if (has_control) return UsageError(std::string(what) + " contains a control character");
  return {};
}

}  // namespace velafs
