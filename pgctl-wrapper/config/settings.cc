#include "pgctl-wrapper/config/settings.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <iterator>

#include "pgctl-wrapper/process/process.h"
#include "pgctl-wrapper/process/text_file.h"
#include "pgctl-wrapper/server/server_command.h"

namespace velafs::pgctl {
namespace {

std::string WithoutNewline(std::string text) {
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

bool IsComment(std::string_view line) {
  const size_t first = line.find_first_not_of(" \t\r\f\v");
  return first == std::string_view::npos || line[first] == '#';
}

// All lines that are no comments, in small letters: names of settings may be written either way.
std::string ActiveLines(std::string_view text) {
  std::string active;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    if (!IsComment(text.substr(0, end))) active += text.substr(0, end);
    text.remove_prefix(end);
  }
  std::transform(active.begin(), active.end(), active.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return active;
}

// Each question costs a process, which takes as long as half a start. Files that cannot be read
// here are left for the server program to complain of.
std::vector<std::string> WorthAsking(const ServerPlaces& places,
                                     const std::vector<std::string>& names) {
  constexpr uint64_t kMostBytes = 16 << 20;
  const Result<std::string> own = ReadBoundedFile(places.config_file, kMostBytes);
  const Result<std::string> altered =
      ReadBoundedFile(places.data_dir + "/postgresql.auto.conf", kMostBytes);
  const bool none_altered = altered.status().error_number() == ENOENT;
  if (!own.ok() || (!altered.ok() && !none_altered)) return names;
  std::vector<std::string> mentioned =
      MentionedSettings({*own, altered.ok() ? *altered : ""}, names);
  // Whether the server takes what the branch says shows in any answer.
  const bool says_something = places.config_file.starts_with(places.data_dir + "/") ||
                              (altered.ok() && !ActiveLines(*altered).empty());
  if (mentioned.empty() && says_something) mentioned.emplace_back("port");
  return mentioned;
}

}  // namespace

std::vector<std::string> MentionedSettings(const std::vector<std::string>& config_texts,
                                           const std::vector<std::string>& names) {
  std::string active;
  for (const std::string& text : config_texts) active += ActiveLines(text) + "\n";
  if (active.find("include") != std::string::npos) return names;
  std::vector<std::string> mentioned;
  std::copy_if(names.begin(), names.end(), std::back_inserter(mentioned),
               [&active](const std::string& name) {
                 return active.find(name.starts_with("ssl_") ? "ssl" : name) != std::string::npos;
               });
  return mentioned;
}

std::vector<std::string> ServerArguments(const std::string& data_dir,
                                         const std::vector<Override>& overrides) {
  std::vector<std::string> arguments = {"-D", data_dir};
  for (const Override& item : overrides) {
    arguments.push_back("-c");
    arguments.push_back(item.setting + "=" + item.value);
  }
  return arguments;
}

Result<Answers> AskSettings(const ServerHome& home, const ServerPlaces& places,
                            const std::vector<std::string>& all_names,
                            const CaptureLimits& limits) {
  const std::vector<std::string> names = WorthAsking(places, all_names);
  const std::vector<std::string> arguments =
      ServerArguments(places.data_dir, PlaceOverrides(places));
  std::vector<CapturedProcess> questions;  // one setting each, so all at once
  for (const std::string& name : names) {
    std::vector<std::string> question_arguments = {"-C", name};
    question_arguments.insert(question_arguments.end(), arguments.begin(), arguments.end());
    Command command = ServerCommand(home, "postgres", question_arguments);
    VELAFS_ASSIGN(CapturedProcess question, CapturedProcess::Start(std::move(command), limits));
    questions.push_back(std::move(question));
  }

  Answers answers;
  for (size_t i = 0; i < names.size(); ++i) {
    VELAFS_ASSIGN(const Captured answer, questions[i].Finish());
    answers.values[names[i]] = WithoutNewline(answer.out);
    if (answer.exit_status != 0) answers.complaints = answer.err + "\n";
  }
  return answers;
}

}  // namespace velafs::pgctl
