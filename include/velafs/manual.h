// The manual of velafs and of velapg: pages, and the texts of `help COMMAND`, from the program's
// grammar (what --help prints) and a longer text for each command.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "velafs/base/status.h"

namespace CLI {
class App;
}

namespace velafs {

// Texts are paragraphs with a blank line between them. A paragraph that begins with "* TERM: " is
// an item of a list. Text between backticks is typed by a user; NAME(1) refers to a page.
struct ManualText {
  std::string_view command;  // "clone", "bookmark create"; "" is the program
  std::string_view text;
  std::string_view synopsis_end = {};  // arguments unknown to the grammar, in mdoc(7)
};

struct Manual {
  std::span<const ManualText> texts;
  std::string_view environment;
  std::string_view files;
  std::string_view exit_status;

  // Null if there is none.
  const ManualText* Find(std::string_view command) const;
};

// The command of `app` that the words name, as {"bookmark", "create"}; null if there is none.
const CLI::App* FindCommand(const CLI::App& app, std::span<const std::string> words);
// "bookmark create"; "" of the program itself.
std::string CommandPath(const CLI::App& command);

// The output of `help COMMAND`: the help of `command`, then its text.
std::string HelpWithText(const CLI::App& command, const Manual& manual);

// Pages in mdoc(7) by their file names: the program's, and one for each command that is not hidden,
// with its own commands in it. `documents` is the table of API.md with what --json prints, and may
// be empty. `date` is as in "November 30, 2026".
std::map<std::string, std::string> ManualPages(const CLI::App& app, const Manual& manual,
                                               std::string_view documents, std::string_view date);

// Writes those pages to a directory that exists, with the date of SOURCE_DATE_EPOCH, else today.
// `documents_path` names API.md.
Status WriteManualPages(const CLI::App& app, const Manual& manual, const std::string& directory,
                        const std::string& documents_path);

}  // namespace velafs
