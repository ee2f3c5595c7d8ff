#include "velafs/manual.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

#include "velafs/api/mdoc.h"
#include "velafs/api/version.h"

namespace velafs {
namespace {

using api::MdocWriter;
using std::string_view;
using Words = std::vector<std::string>;

// The visible commands: hidden ones and groups of options are left out.
std::vector<const CLI::App*> CommandsOf(const CLI::App& command) {
  return command.get_subcommands(
      [](const CLI::App* app) { return !app->get_name().empty() && !app->get_group().empty(); });
}

std::vector<const CLI::App*> OptionGroupsOf(const CLI::App& command) {
  return command.get_subcommands([](const CLI::App* app) { return app->get_name().empty(); });
}

std::string ProgramOf(const CLI::App& command) {
  const CLI::App* app = &command;
  while (app->get_parent() != nullptr) app = app->get_parent();
  return app->get_name();
}

// "velafs bookmark create", or "velafs-bookmark-create".
std::string FullName(const CLI::App& command, char between) {
  std::string name = ProgramOf(command);
  const std::string path = CommandPath(command);
  if (!path.empty()) name += between + path;
  std::ranges::replace(name, ' ', between);
  return name;
}

std::string Uppercased(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

// The description up to its first full stop or semicolon, as whatis(1) shows it: in lower case,
// unless it begins with a NAME.
std::string OneLine(const CLI::App& command) {
  std::string text = command.get_description();
  text = text.substr(0, std::min(text.find("; "), text.find(". ")));
  while (text.ends_with('.') || text.ends_with(' ')) text.pop_back();
  if (text.size() > 1 && std::islower(static_cast<unsigned char>(text[1])) != 0) {
    text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  }
  return text;
}

std::string Sentence(const std::string& text) {
  return text.empty() || text.ends_with('.') ? text : text + ".";
}

// The words of a footer after "Example:", up to a blank line; without their indentation.
std::string ExamplesOf(const CLI::App& command) {
  const std::string footer = command.get_footer();
  constexpr string_view kHeading = "Example:\n";
  const size_t heading = footer.find(kHeading);
  if (heading == std::string::npos) return "";
  const size_t begin = heading + kHeading.size();
  std::istringstream lines(footer.substr(begin, footer.find("\n\n", begin) - begin));
  std::string examples;
  for (std::string line; std::getline(lines, line);) {
    examples += line.substr(std::min(line.find_first_not_of(' '), line.size())) + "\n";
  }
  return examples;
}

// The part of a footer before its examples.
std::string BeforeExamples(const CLI::App& command) {
  const std::string footer = command.get_footer();
  return footer.substr(0, std::min(footer.find("Example:\n"), footer.size()));
}

// An option's value: "Ar SIZE", "Cm on | off", or nothing.
std::string ValueOf(const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) return "";
  std::string type = option.get_type_name();
  const size_t set = type.find(":{");
  if (set != std::string::npos) {
    const std::string members = type.substr(set + 2, type.find('}') - set - 2);
    type = type.starts_with("TEXT") ? members : type.substr(0, set);
    std::ranges::replace(type, ',', '|');
  }
  const bool is_choice =
      type.find('|') != std::string::npos &&
      type.find_first_not_of("abcdefghijklmnopqrstuvwxyz-|") == std::string::npos;
  if (!is_choice) return "Ar " + type;
  std::string choices = "Cm ";
  for (const char c : type) choices += c == '|' ? " | " : std::string(1, c);
  return choices;
}

// "Fl q , Fl -quiet", with a value after the last.
std::string NamesOf(const CLI::Option& option) {
  std::string names;
  const auto add = [&names](const std::string& name) {
    names += (names.empty() ? "Fl " : " , Fl ") + name;
  };
  for (const std::string& name : option.get_snames()) add(name);
  for (const std::string& name : option.get_lnames()) add("-" + name);
  const std::string value = ValueOf(option);
  return value.empty() ? names : names + " " + value;
}

// With the longer of its names only.
std::string InSynopsis(const CLI::Option& option) {
  const std::string name =
      option.get_lnames().empty() ? option.get_snames().front() : "-" + option.get_lnames().front();
  const std::string value = ValueOf(option);
  return "Fl " + name + (value.empty() ? "" : " " + value);
}

bool IsHelp(const CLI::Option& option) { return option.check_lname("help"); }

void WriteArguments(const CLI::App& command, MdocWriter& page) {
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_positional()) continue;
    const std::string name = "Ar " + option->get_name();
    const std::string more = option->get_items_expected_max() > 1 ? " ..." : "";
    page.Line((option->get_required() ? "." : ".Op ") + name + more);
  }
}

void WriteSynopsis(const CLI::App& command, const Manual& manual, MdocWriter& page) {
  page.Line(".Nm \"" + FullName(command, ' ') + "\"");
  for (const CLI::App* group : OptionGroupsOf(command)) {
    std::string choices;
    for (const CLI::Option* option : group->get_options()) {
      if (!IsHelp(*option)) choices += (choices.empty() ? "." : " | ") + InSynopsis(*option);
    }
    page.Line(choices);
  }
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_positional() || IsHelp(*option)) continue;
    page.Line((option->get_required() ? "." : ".Op ") + InSynopsis(*option));
  }
  WriteArguments(command, page);
  const ManualText* text = manual.Find(CommandPath(command));
  if (text != nullptr && !text->synopsis_end.empty()) page.Line(text->synopsis_end);
}

std::string DescriptionOf(const CLI::Option& option) {
  std::string text = Sentence(option.get_description());
  if (option.get_items_expected_max() > 0 && !option.get_default_str().empty()) {
    text += " The default is `" + option.get_default_str() + "`.";
  }
  if (!option.get_excludes().empty()) {
    Words names;
    for (const CLI::Option* other : option.get_excludes()) names.push_back(other->get_name());
    std::ranges::sort(names);
    text += " It does not go together with";
    for (size_t i = 0; i < names.size(); ++i) {
      text += (i == 0 ? " `" : i + 1 == names.size() ? " and `" : ", `") + names[i] + "`";
    }
    text += ".";
  }
  return text;
}

std::vector<const CLI::Option*> ShownOptionsOf(const CLI::App& command) {
  std::vector<const CLI::Option*> options;
  for (const CLI::App* group : OptionGroupsOf(command)) {
    for (const CLI::Option* option : group->get_options()) {
      if (!IsHelp(*option)) options.push_back(option);
    }
  }
  for (const CLI::Option* option : command.get_options()) options.push_back(option);
  return options;
}

void WriteOptions(const CLI::App& command, MdocWriter& page) {
  const bool is_nested =
      command.get_parent() != nullptr && command.get_parent()->get_parent() != nullptr;
  if (is_nested && ShownOptionsOf(command).size() == 1) return;  // only --help
  page.Line(".Bl -tag -width Ds");
  for (const bool positional : {true, false}) {
    for (const CLI::Option* option : ShownOptionsOf(command)) {
      if (option->get_positional() != positional || (is_nested && IsHelp(*option))) continue;
      page.Line(".It " + (positional ? "Ar " + option->get_name() : NamesOf(*option)));
      page.Sentences(DescriptionOf(*option));
    }
  }
  page.Line(".El");
}

void WriteDescription(const CLI::App& command, const Manual& manual, MdocWriter& page) {
  std::string text = Sentence(command.get_description());
  for (const std::string& alias : command.get_aliases()) {
    text += " `" + ProgramOf(command) + " " + alias + "` is the same.";
  }
  page.Text(text);
  if (const ManualText* more = manual.Find(CommandPath(command))) {
    page.Line(".Pp");
    page.Text(more->text);
  }
  if (const std::string before = BeforeExamples(command); !before.empty()) {
    page.Line(".Pp");
    page.Text(before);
  }
}

// What API.md's table says of `command`, as "velafs clone": by the words that print it, which may
// be more, as in "velapg stop --all". A first cell may name several: "`velafs show`, `rename`".
std::vector<std::pair<std::string, std::string>> DocumentsOf(const std::string& command,
                                                             string_view table) {
  std::vector<std::pair<std::string, std::string>> found;
  std::istringstream lines{std::string(table)};
  for (std::string line; std::getline(lines, line);) {
    const size_t cell_end = line.find(" | ", 2);
    if (!line.starts_with("| `vela") || cell_end == std::string::npos) continue;
    const std::string program = line.substr(3, line.find_first_of(" `", 3) - 3);
    std::istringstream cell(line.substr(2, cell_end - 2));
    std::string piece;
    while (std::getline(cell, piece, '`') && std::getline(cell, piece, '`')) {
      const std::string words = piece.starts_with("vela") ? piece : program + " " + piece;
      if (words != command && !words.starts_with(command + " -")) continue;
      found.emplace_back(words, line.substr(cell_end + 3, line.rfind(" |") - cell_end - 3));
    }
  }
  return found;
}

void WriteDocuments(const CLI::App& command, string_view table, MdocWriter& page) {
  for (const auto& [words, fields] : DocumentsOf(FullName(command, ' '), table)) {
    if (!page.page().ends_with(".Sh JSON\n")) page.Line(".Pp");
    page.Text("`" + words + " --json` prints " + fields + ".");
  }
}

// A command of a command: a part of its page.
void WriteSubcommand(const CLI::App& command, const Manual& manual, string_view documents,
                     MdocWriter& page) {
  page.Line(".Ss " + FullName(command, ' '));
  WriteDescription(command, manual, page);
  WriteOptions(command, page);
  if (const std::string examples = ExamplesOf(command); !examples.empty()) page.Example(examples);
  WriteDocuments(command, documents, page);
}

void WriteCommandList(const CLI::App& app, MdocWriter& page) {
  page.Line(".Sh COMMANDS");
  page.Line(".Bl -tag -width Ds");
  for (const CLI::App* command : CommandsOf(app)) {
    page.Line(".It Xr " + FullName(*command, '-') + " 1");
    page.Sentences(Sentence(command->get_description()));
  }
  page.Line(".El");
}

void WriteSeeAlso(const std::string& self, const std::string& program, MdocWriter& page) {
  auto pages = page.references();
  pages.insert({{'1', "velafs"}, {'1', program}, {'7', "velafs"}});
  pages.erase({'1', self});
  page.Line(".Sh SEE ALSO");
  size_t left = pages.size();
  for (const auto& [section, name] : pages) {
    page.Line(".Xr " + name + " " + section + (--left > 0 ? " ," : ""));
  }
}

void WriteHead(const CLI::App& command, string_view date, MdocWriter& page) {
  const std::string name = FullName(command, '-');
  page.Line(".Dd " + std::string(date));
  page.Line(".Dt " + Uppercased(name) + " 1");
  page.Line(std::string(".Os velafs ") + api::kVersion);
  page.Line(".Sh NAME");
  page.Line(".Nm " + name);
  page.Line(".Nd " + OneLine(command));
}

std::string PageOf(const CLI::App& command, const Manual& manual, string_view documents,
                   string_view date) {
  MdocWriter page;
  const bool is_program = command.get_parent() == nullptr;
  const std::string program = ProgramOf(command);
  const std::vector<const CLI::App*> own_commands = CommandsOf(command);
  WriteHead(command, date, page);
  page.Line(".Sh SYNOPSIS");
  if (is_program || command.get_require_subcommand_min() == 0) WriteSynopsis(command, manual, page);
  if (is_program) page.Line(".Ar COMMAND\n.Op Ar ARGUMENT ...");
  if (!is_program) {
    for (const CLI::App* own : own_commands) WriteSynopsis(*own, manual, page);
  }
  page.Line(".Sh DESCRIPTION");
  WriteDescription(command, manual, page);
  page.Line(".Sh OPTIONS");
  WriteOptions(command, page);
  if (!is_program) {
    page.Line(".Pp");
    page.Text("The options of " + program + "(1) may be given too.");
  }
  if (is_program) {
    WriteCommandList(command, page);
  } else if (!own_commands.empty()) {
    page.Line(".Sh COMMANDS");
    for (const CLI::App* own : own_commands) WriteSubcommand(*own, manual, documents, page);
  }
  if (!DocumentsOf(FullName(command, ' '), documents).empty()) {
    page.Line(".Sh JSON");
    WriteDocuments(command, documents, page);
  }
  page.Line(".Sh ENVIRONMENT");
  page.Text(manual.environment);
  page.Line(".Sh FILES");
  page.Text(manual.files);
  page.Line(".Sh EXIT STATUS");
  page.Text(manual.exit_status);
  page.Line(".Sh EXAMPLES");
  page.Example(ExamplesOf(command));
  WriteSeeAlso(FullName(command, '-'), program, page);
  return page.page();
}

// Of the build, if it says so: a page built again is the same.
std::string DateOfPages() {
  const char* epoch = std::getenv("SOURCE_DATE_EPOCH");
  const std::time_t when = epoch != nullptr ? std::atol(epoch) : std::time(nullptr);
  std::tm utc{};
  gmtime_r(&when, &utc);
  std::array<char, 64> text;
  return {text.data(), std::strftime(text.data(), text.size(), "%B %-d, %Y", &utc)};
}

// Lines of at most 80 characters; a line that begins an item keeps its asterisk.
std::string Filled(string_view text) {
  constexpr size_t kWidth = 80;
  std::string filled;
  while (!text.empty()) {
    const size_t end = text.find("\n\n");
    std::istringstream words{std::string(text.substr(0, end))};
    text.remove_prefix(end == string_view::npos ? text.size() : end + 2);
    size_t column = 0;
    for (std::string word; words >> word;) {
      if (column > 0 && column + 1 + word.size() > kWidth) {
        filled += '\n';
        column = 0;
      }
      filled += (column > 0 ? " " : "") + word;
      column += word.size() + (column > 0 ? 1 : 0);
    }
    if (column > 0) filled += "\n\n";
  }
  return filled;
}

}  // namespace

const ManualText* Manual::Find(string_view command) const {
  const auto found = std::ranges::find(texts, command, &ManualText::command);
  return found == texts.end() ? nullptr : &*found;
}

const CLI::App* FindCommand(const CLI::App& app, std::span<const std::string> words) {
  const CLI::App* command = &app;
  for (const std::string& word : words) {
    const std::vector<const CLI::App*> next = CommandsOf(*command);
    const auto found =
        std::ranges::find_if(next, [&](const CLI::App* one) { return one->check_name(word); });
    if (found == next.end()) return nullptr;
    command = *found;
  }
  return command;
}

std::string CommandPath(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  if (parent == nullptr) return "";
  const std::string before = CommandPath(*parent);
  return (before.empty() ? "" : before + " ") + command.get_name();
}

std::string HelpWithText(const CLI::App& command, const Manual& manual) {
  const CLI::App* parent = command.get_parent();
  std::string text = command.help(parent == nullptr ? "" : FullName(*parent, ' '));
  if (const ManualText* more = manual.Find(CommandPath(command))) {
    text += "\n" + Filled(more->text);
    while (text.ends_with("\n\n")) text.pop_back();
  }
  return text;
}

std::map<std::string, std::string> ManualPages(const CLI::App& app, const Manual& manual,
                                               string_view documents, string_view date) {
  std::map<std::string, std::string> pages;
  pages[app.get_name() + ".1"] = PageOf(app, manual, documents, date);
  for (const CLI::App* command : CommandsOf(app)) {
    pages[FullName(*command, '-') + ".1"] = PageOf(*command, manual, documents, date);
  }
  return pages;
}

Status WriteManualPages(const CLI::App& app, const Manual& manual, const std::string& directory,
                        const std::string& documents_path) {
  std::ostringstream documents;
  documents << std::ifstream(documents_path).rdbuf();
  if (documents.str().empty()) return Failed("cannot read \"" + documents_path + "\"");
  for (const auto& [name, page] : ManualPages(app, manual, documents.str(), DateOfPages())) {
    const std::string path = directory + "/" + name;
    std::ofstream file(path);
    if (!(file << page).flush()) return Failed("cannot write \"" + path + "\"");
  }
  return {};
}

}  // namespace velafs
