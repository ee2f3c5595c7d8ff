#include "velafs/cli/usage.h"

#include <string>
#include <string_view>
#include <vector>

#include "velafs/base/nearest.h"

namespace velafs::cli {
namespace {

using Words = std::vector<std::string>;

// The command that the command line names, as far as it makes sense.
const CLI::App& ChosenCommand(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? app : ChosenCommand(*chosen[0]);
}

// "velafs bookmark create".
std::string NameOf(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return (parent == nullptr ? "" : NameOf(*parent) + " ") + command.get_name();
}

Words CommandsOf(const CLI::App& command) {
  Words names;
  for (const CLI::App* next : command.get_subcommands([](const CLI::App* app) {
         return !app->get_name().empty() && !app->get_group().empty();
       })) {
    names.push_back(next->get_name());
    for (const std::string& alias : next->get_aliases()) names.push_back(alias);
  }
  return names;
}

Words OptionsOf(const CLI::App& command) {
  Words names;
  for (const CLI::App* at = &command; at != nullptr; at = at->get_parent()) {
    for (const CLI::App* group : at->get_subcommands({})) {
      if (!group->get_name().empty()) continue;
      for (const CLI::Option* option : group->get_options()) {
        for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
      }
    }
    for (const CLI::Option* option : at->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

// A sentence's first word in lower case; a NAME, or the argument A, stays as it is.
std::string Lowercased(std::string text) {
  const auto is_lower = [](char c) { return c >= 'a' && c <= 'z'; };
  if (text.size() > 1 && text[0] >= 'A' && text[0] <= 'Z' && is_lower(text[1])) {
    text[0] = static_cast<char>(text[0] - 'A' + 'a');
  }
  return text;
}

std::string Between(const std::string& text, std::string_view begin, std::string_view end) {
  const size_t from = text.find(begin);
  if (from == std::string::npos) return "";
  const size_t to = text.find(end, from + begin.size());
  if (to == std::string::npos) return "";
  return text.substr(from + begin.size(), to - from - begin.size());
}

// `--a, --b` of "Exactly 1 option from [--a,--b] is required".
std::string OptionsToChooseFrom(const std::string& text) {
  std::string names = Between(text, "option from [", "]");
  for (size_t at = 0; (at = names.find(',', at)) != std::string::npos; at += 2) {
    names.replace(at, 1, ", ");
  }
  return names;
}

// The words for one error that CLI11 words in its own way; else its own.
std::string MessageOf(const CLI::ParseError& error) {
  const std::string text = error.what();
  const std::string kind = error.get_name();
  if (const std::string names = OptionsToChooseFrom(text); !names.empty()) {
    return "give exactly one of " + names;
  }
  if (kind == "ArgumentMismatch") {
    const std::string name = text.substr(0, text.find(':'));
    if (text.ends_with(" missing")) return "option " + name + " needs a value";
    if (text.find(": At Most ") != std::string::npos) return name + " is given more than once";
  }
  if (kind == "ConversionError") {
    const std::string name = Between(text, "Could not convert: ", " = ");
    if (!name.empty()) {
      return "\"" + text.substr(text.rfind(" = ") + 3) + "\", the value of " + name +
             ", is not a number, or is out of range";
    }
  }
  if (kind == "ExcludesError") {
    const size_t middle = text.find(" excludes ");
    return text.substr(0, middle) + " and " + text.substr(middle + 10) + " do not go together";
  }
  return Lowercased(text);
}

}  // namespace

Status UsageFailure(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& command = ChosenCommand(app);
  const std::string help = "see: " + NameOf(command) + " --help";
  const Words left_over = app.remaining(/*recurse=*/true);
  const bool no_command =
      error.get_name() == "RequiredError" &&
      std::string_view(error.what()).find("subcommand") != std::string_view::npos;
  if (no_command && left_over.empty()) return UsageError("no command given", help);
  if (left_over.empty()) return UsageError(MessageOf(error), help);
  const std::string& word = left_over[0];
  if (word.starts_with("-")) {
    return UsageError("unknown option \"" + word + "\"",
                      DidYouMean(word.substr(0, word.find('=')), OptionsOf(command), help));
  }
  if (!no_command) return UsageError("unexpected argument \"" + word + "\"", help);
  return UsageError("unknown command \"" + word + "\"",
                    DidYouMean(word, CommandsOf(command), help));
}

std::string HelpFormatter::make_expanded(const CLI::App* app) const {
  if (!app->get_name().empty()) return CLI::Formatter::make_expanded(app);
  constexpr std::string_view kHeading = "Options:\n";
  const std::string options = make_groups(app, CLI::AppFormatMode::Sub);
  const size_t heading = options.find(kHeading);
  if (heading == std::string::npos) return options;
  return "Exactly one of:\n" + options.substr(heading + kHeading.size());
}

}  // namespace velafs::cli
