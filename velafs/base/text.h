// Checks untrusted text, and makes it safe to show.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "velafs/base/status.h"

namespace velafs {

// The text as one line that cannot act on a terminal: control characters, marks of writing
// direction, and bytes that are not UTF-8 become `\n`, `\x1b`, `\u202e`, `\xff`.
std::string Printable(std::string_view text);

// In double quotes, as messages show names and paths.
std::string Quoted(std::string_view text);

// As one word of a shell's command line, quoted if it needs that.
std::string ShellWord(std::string_view text);

bool IsUtf8(std::string_view text);

// Free text, as of a note: fails with kUsage unless it is UTF-8 of at most `max_bytes` without NUL.
// `what` names it in the message.
Status CheckText(std::string_view what, std::string_view text, size_t max_bytes);
// As CheckText, for text shown in a column (an owner, a label): refuses control characters too.
Status CheckWord(std::string_view what, std::string_view text, size_t max_bytes);

}  // namespace velafs
