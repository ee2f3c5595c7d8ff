#include "pgctl-wrapper/config/config_text.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <set>
#include <string_view>
#include <utility>

#include "pgctl-wrapper/process/text_file.h"

namespace velafs::pgctl {
namespace {

constexpr uint64_t kMostBytes = 16 << 20;  // of all files together
constexpr size_t kMostLineBytes = 4096;
constexpr int kDeepest = 10;  // as PostgreSQL's own limit
constexpr std::string_view kBlank = " \t\r\f\v";
constexpr std::string_view kJoinedConfigHeader =
    "# Made by velapg at every start: the branch's configuration with all that it includes, "
    "without\n"
    "# the lines that this server does not take. Changes of the branch's files hold from the next\n"
    "# start on.\n";
constexpr size_t kHeaderLines = 3;

bool IsNameCharacter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '$' ||
         static_cast<unsigned char>(c) >= 0x80;
}

std::string InSmallLetters(std::string_view text) {
  std::string small(text);
  std::transform(small.begin(), small.end(), small.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return small;
}

std::string_view WithoutBlanks(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlank), text.size()));
  return text;
}

// Of "'it''s'  # a comment": it's.
std::string ValueOf(std::string_view text) {
  if (!text.starts_with('\'')) return std::string(text.substr(0, text.find_first_of(" \t\r#")));
  std::string value;
  for (size_t i = 1; i < text.size(); ++i) {
    const bool is_doubled = text[i] == '\'' && i + 1 < text.size() && text[i + 1] == '\'';
    if (text[i] == '\'' && !is_doubled) break;
    if (is_doubled || (text[i] == '\\' && i + 1 < text.size())) ++i;
    value += text[i];
  }
  return value;
}

bool IsInclude(const std::string& setting) {
  return setting == "include" || setting == "include_if_exists" || setting == "include_dir";
}

// The files of a directory that PostgreSQL reads, in its order.
Result<std::vector<std::string>> FilesOf(const std::string& directory) {
  std::vector<std::string> paths;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.ends_with(".conf") && !name.starts_with('.')) paths.push_back(entry->path().string());
  }
  if (error) return SystemError(error.value(), "cannot read \"" + directory + "\"");
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

ConfigSetting ParseConfigLine(std::string_view line) {
  line = WithoutBlanks(line);
  const auto* const end = std::find_if_not(line.begin(), line.end(), IsNameCharacter);
  const auto length = static_cast<size_t>(end - line.begin());
  if (length == 0) return {};
  std::string name = InSmallLetters(line.substr(0, length));
  line = WithoutBlanks(line.substr(length));
  if (line.starts_with('=')) line = WithoutBlanks(line.substr(1));
  return {std::move(name), ValueOf(line)};
}

size_t LineThatSets(const std::string& path, const std::string& setting) {
  const Result<std::string> text = ReadBoundedFile(path, kMostBytes);
  if (!text.ok()) return 0;
  size_t found = 0;
  size_t number = 0;
  for (std::string_view rest = *text; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    ++number;
    if (ParseConfigLine(rest.substr(0, end)).name == setting) found = number;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return found;
}

Result<ConfigText> ConfigText::Read(const std::string& path) {
  ConfigText config;
  VELAFS_TRY(config.Add(path, 0));
  return config;
}

Status ConfigText::Add(const std::string& path, int depth) {
  VELAFS_ASSIGN(const std::string text, ReadBoundedFile(path, kMostBytes - bytes_));
  bytes_ += text.size();
  size_t number = 0;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    VELAFS_TRY(AddLine(path, ++number, std::string(rest.substr(0, end)), depth));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return {};
}

Status ConfigText::AddLine(const std::string& path, size_t number, std::string text, int depth) {
  if (text.size() > kMostLineBytes) {
    lines_.push_back({{path, number, "", "the line is longer than 4 KiB"}, "", true});
    return {};
  }
  const ConfigSetting setting = ParseConfigLine(text);
  Line line{{path, number, setting.name, ""}, std::move(text)};
  if (IsInclude(setting.name)) return Include(std::move(line), setting.value, depth);
  lines_.push_back(std::move(line));
  return {};
}

// The line stays in the text as a comment, with the files' lines after it.
Status ConfigText::Include(Line line, const std::string& value, int depth) {
  const std::string directive = line.origin.setting;
  const std::string path = (std::filesystem::path(line.origin.file).parent_path() / value).string();
  const size_t at = lines_.size();
  line.text = "# " + line.text;
  lines_.push_back(std::move(line));
  Status read;
  if (depth >= kDeepest) {
    read = Failed("it includes itself, or files too deep");
  } else if (directive != "include_dir") {
    read = Add(path, depth + 1);
  } else {
    const Result<std::vector<std::string>> files = FilesOf(path);
    read = files.status();
    for (size_t i = 0; read.ok() && i < files->size(); ++i) read = Add((*files)[i], depth + 1);
  }
  const bool may_lack = directive == "include_if_exists" && read.error_number() == ENOENT;
  if (read.ok() || may_lack) return {};
  lines_[at].is_left_out = true;
  lines_[at].origin.why = read.message();
  return {};
}

std::string ConfigText::ToText() const {
  std::string text(kJoinedConfigHeader);
  for (const Line& line : lines_) {
    text += (line.is_left_out ? "# left out: " : "") + line.text + "\n";
  }
  return text;
}

bool ConfigText::LeaveOutLine(size_t number, const std::string& why) {
  if (number <= kHeaderLines || number > kHeaderLines + lines_.size()) return false;
  Line& line = lines_[number - kHeaderLines - 1];
  if (line.is_left_out) return false;
  line.is_left_out = true;
  line.origin.setting.clear();
  line.origin.why = why;
  return true;
}

bool ConfigText::LeaveOutSetting(const std::string& setting, const std::string& why) {
  bool is_found = false;
  for (Line& line : lines_) {
    if (line.is_left_out || line.origin.setting != setting) continue;
    line.is_left_out = is_found = true;
    line.origin.why = why;
  }
  return is_found;
}

std::vector<LeftOutLine> ConfigText::LeftOut() const {
  std::vector<LeftOutLine> left_out;
  for (auto line = lines_.begin(); line != lines_.end(); ++line) {
    const std::string& setting = line->origin.setting;
    const bool is_set_again =
        !IsInclude(setting) && std::any_of(line + 1, lines_.end(), [&](const Line& later) {
          return later.is_left_out && later.origin.setting == setting &&
                 later.origin.why == line->origin.why;
        });
    if (line->is_left_out && !is_set_again) left_out.push_back(line->origin);
  }
  return left_out;
}

}  // namespace velafs::pgctl
