#include "pgctl-wrapper/config/config_mending.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <sstream>
#include <string_view>

#include "pgctl-wrapper/config/settings.h"
#include "pgctl-wrapper/process/text_file.h"

namespace velafs::pgctl {
namespace {

// Each round brings what the program finds before it gives up: broken lines, then unknown names,
// then values.
constexpr int kMostRounds = 20;
constexpr std::string_view kRecoveryTarget = "recovery_target";
constexpr std::string_view kLocale = "lc_";

std::string InSmallLetters(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// A file and a line that words name, and where they do so.
struct Place {
  std::string file;
  size_t line = 0;
  size_t begin = 0;
  size_t end = 0;
};

// Of the first ` in file "FILE" line N`. By hand: a regular expression recurses over what somebody
// else wrote.
std::optional<Place> FindPlace(const std::string& words) {
  constexpr std::string_view kFile = " in file \"";
  constexpr std::string_view kLine = "\" line ";
  for (size_t begin = words.find(kFile); begin != std::string::npos;
       begin = words.find(kFile, begin + 1)) {
    const size_t name = begin + kFile.size();
    const size_t quote = words.find('"', name);
    if (quote == std::string::npos) break;
    if (quote == name || words.compare(quote, kLine.size(), kLine) != 0) continue;
    Place place{words.substr(name, quote - name), 0, begin, 0};
    const char* const digits = words.data() + quote + kLine.size();
    const auto number = std::from_chars(digits, words.data() + words.size(), place.line);
    place.end = static_cast<size_t>(number.ptr - words.data());
    if (number.ptr != digits) return place;
  }
  return std::nullopt;
}

// Of `parameter "NAME"`; empty if no words are such.
std::string FindSetting(const std::string& words) {
  constexpr std::string_view kParameter = "parameter \"";
  for (size_t begin = words.find(kParameter); begin != std::string::npos;
       begin = words.find(kParameter, begin + 1)) {
    const size_t name = begin + kParameter.size();
    const size_t quote = words.find('"', name);
    if (quote == std::string::npos) break;
    if (quote > name) return InSmallLetters(words.substr(name, quote - name));
  }
  return "";
}

// What may be a setting's name among the first of the words.
std::vector<std::string> NamesIn(const std::string& words) {
  constexpr size_t kMostNames = 16;
  std::vector<std::string> names(1);
  for (const char c : InSmallLetters(words)) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_') {
      names.back() += c;
    } else if (!names.back().empty()) {
      if (names.size() == kMostNames) return names;
      names.emplace_back();
    }
  }
  return names;
}

// The words of a line that reports something; empty of others, as its details and hints.
std::string WordsOf(const std::string& line) {
  for (const std::string_view level : {"LOG:  ", "WARNING:  ", "ERROR:  "}) {
    const size_t at = line.find(level);
    if (at != std::string::npos) return line.substr(at + level.size());
  }
  return "";
}

// The program's words about the configuration; empty if it takes it.
Result<std::string> AskForComplaints(const ServerHome& home, const ServerPlaces& places,
                                     const CaptureLimits& limits) {
  std::vector<std::string> arguments = {"-C", "config_file"};
  std::vector<Override> overrides = PlaceOverrides(places);
  for (const auto& [setting, value] : {std::pair{"lc_messages", "C"},
                                       {"log_destination", "stderr"},
                                       {"log_error_verbosity", "default"},
                                       {"log_line_prefix", ""},
                                       {"log_min_messages", "warning"}}) {
    overrides.push_back({setting, value, ""});  // so that it can be understood
  }
  for (std::string& word : ServerArguments(places.data_dir, overrides)) {
    arguments.push_back(std::move(word));
  }
  VELAFS_ASSIGN(Captured answer, Capture(ServerCommand(home, "postgres", arguments), limits));
  return answer.exit_status == 0 ? std::string() : std::move(answer.err);
}

Status CannotBeRead(const std::string& hint) {
  return Failed("its configuration cannot be read", hint);
}

Status CannotLeaveOut(const Complaint& complaint, const std::string& file, size_t line) {
  const std::string place = file + " line " + std::to_string(line);
  return CannotBeRead(complaint.words + ": " + place +
                      "; correct or remove that line, as with sed -i " + std::to_string(line) +
                      "d " + file);
}

class Mending {
 public:
  Mending(ConfigText* config, const ServerPlaces& places)
      : config_(*config),
        copy_(places.config_file),
        altered_(places.data_dir + "/postgresql.auto.conf") {}

  // Leaves out what is complained of. False if nothing that is known was.
  Result<bool> LeaveOut(const std::vector<Complaint>& complaints) {
    bool is_any = false;
    for (const Complaint& complaint : complaints) {
      if (complaint.file == altered_) return CannotLeaveOut(complaint, altered_, complaint.line);
      if (complaint.file == copy_ && complaint.setting.empty()) {
        is_any = config_.LeaveOutLine(complaint.line, complaint.words) || is_any;
      } else if (!complaint.setting.empty()) {
        VELAFS_ASSIGN(const bool is_left_out, LeaveOutSetting(complaint));
        is_any = is_left_out || is_any;
      } else if (complaint.file.empty()) {
        VELAFS_ASSIGN(const bool is_left_out, LeaveOutMentioned(complaint));
        is_any = is_left_out || is_any;
      }
    }
    return is_any;
  }

 private:
  Result<bool> LeaveOutSetting(const Complaint& complaint) {
    const size_t altered = LineThatSets(altered_, complaint.setting);
    if (altered > 0) return CannotLeaveOut(complaint, altered_, altered);
    if (complaint.setting.starts_with(kRecoveryTarget)) return false;
    return config_.LeaveOutSetting(complaint.setting, complaint.words);
  }

  // Of words that quote no setting: the first one among them, as "Bonjour is not supported by this
  // build" has.
  Result<bool> LeaveOutMentioned(Complaint complaint) {
    for (const std::string& word : NamesIn(complaint.words)) {
      complaint.setting = word;
      VELAFS_ASSIGN(const bool is_left_out, LeaveOutSetting(complaint));
      if (is_left_out) return true;
    }
    return false;
  }

  ConfigText& config_;
  const std::string copy_;
  const std::string altered_;
};

}  // namespace

std::vector<Complaint> ParseComplaints(const std::string& output) {
  std::vector<Complaint> complaints;
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    Complaint complaint;
    complaint.words = WordsOf(line);
    if (complaint.words.empty()) continue;
    if (const std::optional<Place> place = FindPlace(complaint.words)) {
      complaint.file = place->file;
      complaint.line = place->line;
      complaint.words.erase(place->begin, place->end - place->begin);
    }
    complaint.setting = FindSetting(complaint.words);
    complaints.push_back(std::move(complaint));
  }
  return complaints;
}

Result<std::vector<LeftOutLine>> MendConfiguration(const ServerHome& home, const std::string& copy,
                                                   const CaptureLimits& limits,
                                                   ServerPlaces* places) {
  VELAFS_ASSIGN(ConfigText config, ConfigText::Read(places->config_file));
  ServerPlaces mended = *places;
  mended.config_file = copy;
  mended.config_is_copy = true;
  Mending mending(&config, mended);
  for (int round = 0; round < kMostRounds; ++round) {
    std::string text = config.ToText();
    for (const LeftOutLine& line : config.LeftOut()) {
      if (line.setting.starts_with(kLocale)) text += line.setting + " = 'C'\n";
    }
    VELAFS_TRY(WriteTextFile(copy, text));
    VELAFS_ASSIGN(const std::string words, AskForComplaints(home, mended, limits));
    if (words.empty()) {
      *places = std::move(mended);
      return config.LeftOut();
    }
    VELAFS_ASSIGN(const bool is_better, mending.LeaveOut(ParseComplaints(words)));
    if (!is_better) return CannotBeRead(QuoteLastLines("the server program says", words));
  }
  return CannotBeRead("it has more wrong lines than can be left out");
}

std::vector<Override> LeftOutOverrides(const std::vector<LeftOutLine>& left_out) {
  std::vector<Override> overrides;
  for (const LeftOutLine& line : left_out) {
    const bool is_line = line.setting.empty() || line.setting.starts_with("include");
    const std::string setting = is_line ? "a line of the configuration" : line.setting;
    const std::string value = is_line                             ? "left out"
                              : line.setting.starts_with(kLocale) ? "C"
                                                                  : "its default";
    overrides.push_back({setting, value, line.Place() + ": " + line.why});
  }
  return overrides;
}

}  // namespace velafs::pgctl
