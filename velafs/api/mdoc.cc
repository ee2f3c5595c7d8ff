#include "velafs/api/mdoc.h"

#include <cctype>
#include <sstream>

namespace velafs::api {
namespace {

constexpr size_t kWidth = 78;

// `code`: what is typed is copied from a page, so that its characters must stay what they are.
std::string Escaped(std::string_view text, bool code) {
  std::string escaped;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool begins_option =
        c == '-' && i + 1 < text.size() && text[i + 1] != ' ' &&
        (i == 0 || std::string_view(" (-[|").find(text[i - 1]) != std::string_view::npos);
    if (c == '\\') {
      escaped += "\\e";
    } else if (c == '-' && (code || begins_option)) {
      escaped += "\\-";
    } else if (c == '\'') {
      escaped += code ? "\\(aq" : "'";
    } else if (c == '`') {
      escaped += "\\(ga";
    } else if (c == '^') {
      escaped += "\\(ha";
    } else if (c == '~') {
      escaped += "\\(ti";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

// What is between backticks is set in bold.
std::string Marked(std::string_view text) {
  std::string marked;
  bool code = false;
  while (true) {
    const size_t end = text.find('`');
    marked += Escaped(text.substr(0, end), code);
    if (end == std::string_view::npos) return marked + (code ? "\\fP" : "");
    code = !code;
    marked += code ? "\\fB" : "\\fP";
    text.remove_prefix(end + 1);
  }
}

bool EndsSentence(std::string_view word) {
  while (!word.empty() && (word.back() == ')' || word.back() == '"')) word.remove_suffix(1);
  return word.size() > 1 && std::string_view(".?!").find(word.back()) != std::string_view::npos &&
         !word.ends_with("..");
}

// Lines that begin so are macros.
std::string Protected(const std::string& line) {
  return (line.starts_with('.') || line.starts_with('\'') ? "\\&" : "") + line;
}

}  // namespace

void MdocWriter::Line(std::string_view line) {
  EndLine();
  page_ += line;
  page_ += '\n';
}

void MdocWriter::EndLine() {
  if (line_.empty()) return;
  page_ += Protected(line_) + '\n';
  line_.clear();
}

// NAME(1) with punctuation after it, and maybe a bracket before it.
bool MdocWriter::Reference(const std::string& word) {
  const size_t open = word.find('(', 1);
  if (open == std::string::npos || open + 2 >= word.size() || word[open + 2] != ')') return false;
  const char section = word[open + 1];
  if (section < '1' || section > '8') return false;
  const size_t begin = word[0] == '(' ? 1 : 0;
  const std::string name = word.substr(begin, open - begin);
  if (name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.@_-") != std::string::npos) {
    return false;
  }
  std::string macro = begin == 1 ? ".Po Xr " : ".Xr ";
  macro += name + ' ' + section;
  for (const char c : word.substr(open + 3)) {
    macro += ' ';
    macro += c == ')' && begin == 1 ? "Pc" : std::string(1, c);
  }
  references_.emplace(section, name);
  Line(macro);
  return true;
}

void MdocWriter::Word(const std::string& word) {
  if (Reference(word)) return;
  const std::string shown = word.ends_with("..") ? word + "\\&" : word;
  if (!line_.empty() && line_.size() + 1 + shown.size() > kWidth) EndLine();
  line_ += (line_.empty() ? "" : " ") + shown;
  if (EndsSentence(word)) EndLine();
}

void MdocWriter::Sentences(std::string_view text) {
  std::istringstream words(Marked(text));
  for (std::string word; words >> word;) Word(word);
  EndLine();
}

void MdocWriter::Text(std::string_view text) {
  bool in_list = false;
  bool is_first = true;
  while (!text.empty()) {
    const size_t end = text.find("\n\n");
    std::string_view paragraph = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 2);
    while (paragraph.starts_with('\n')) paragraph.remove_prefix(1);
    if (paragraph.empty()) continue;
    const size_t term_end = paragraph.find(": ");
    const bool is_item = paragraph.starts_with("* ") && term_end != std::string_view::npos;
    if (is_item && !in_list) Line(".Bl -tag -width Ds");
    if (!is_item && in_list) Line(".El");
    in_list = is_item;
    if (is_item) {
      Line(".It " + Marked(paragraph.substr(2, term_end - 2)));
      paragraph.remove_prefix(term_end + 2);
    } else if (!is_first) {
      Line(".Pp");
    }
    Sentences(paragraph);
    is_first = false;
  }
  if (in_list) Line(".El");
}

void MdocWriter::Example(std::string_view lines) {
  Line(".Bd -literal -offset indent");
  std::istringstream stream{std::string(lines)};
  for (std::string line; std::getline(stream, line);) {
    Line(Protected(Escaped(line, /*code=*/true)));
  }
  Line(".Ed");
}

}  // namespace velafs::api
