// `velafs completion`: what the shell asks when Tab is pressed.
//
// An option or argument takes names of branches when its description begins with "Branch", of
// bookmarks when it begins with "Bookmark", and of both when it begins with "Branch, or bookmark".
#include <algorithm>
#include <iterator>
#include <string_view>

#include "velafs/cli/command.h"
#include "velafs/cli/output.h"

namespace velafs::cli {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

// Each shell's function asks for the candidates, and leaves file names to the shell where there are
// none.
constexpr std::string_view kBash = R"sh(_velafs() {
  local candidates
  mapfile -t candidates < <(velafs candidates -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  COMPREPLY=("${candidates[@]}")
}
# A bookmark's name has an @ in it, at which bash would begin another word.
COMP_WORDBREAKS=${COMP_WORDBREAKS//@/}
complete -o default -F _velafs velafs
_velapg() {
  local commands='start stop restart status psql url env logs run inspect pool take release'
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W "$commands" -- "${COMP_WORDS[1]}")
  else
    mapfile -t COMPREPLY < <(velafs candidates -- show "${COMP_WORDS[COMP_CWORD]}" 2>/dev/null)
  fi
}
complete -o default -F _velapg velapg
)sh";

constexpr std::string_view kZsh = R"sh(#compdef velafs velapg
_velafs() {
  local -a candidates
  candidates=("${(@f)$(velafs candidates -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  candidates=(${candidates:#})
  if (( $#candidates )); then compadd -- $candidates; else _files; fi
}
_velapg() {
  local -a candidates
  if (( CURRENT == 2 )); then
    candidates=(start stop restart status psql url env logs run inspect pool take release)
  else
    candidates=("${(@f)$(velafs candidates -- show "$words[CURRENT]" 2>/dev/null)}")
    candidates=(${candidates:#})
  fi
  if (( $#candidates )); then compadd -- $candidates; else _files; fi
}
compdef _velafs velafs
compdef _velapg velapg
)sh";

constexpr std::string_view kFish = R"sh(function __velafs_candidates
    set -l words (commandline --tokenize --cut-at-cursor)
    set -e words[1]
    velafs candidates -- $words (commandline --current-token) 2>/dev/null
end
complete --command velafs --arguments '(__velafs_candidates)'
complete --command velapg --condition __fish_use_subcommand --no-files \
    --arguments 'start stop restart status psql url env logs run inspect pool take release'
complete --command velapg --condition 'not __fish_use_subcommand' \
    --arguments '(velafs candidates -- show (commandline --current-token) 2>/dev/null)'
)sh";

bool TakesValue(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

const CLI::Option* OptionNamed(const CLI::App& command, const std::string& word) {
  for (const CLI::App* at = &command; at != nullptr; at = at->get_parent()) {
    for (const CLI::Option* option : at->get_options()) {
      if (!option->get_positional() && option->check_name(word)) return option;
    }
  }
  return nullptr;
}

const CLI::App* CommandNamed(const CLI::App& command, const std::string& word) {
  for (const CLI::App* next : command.get_subcommands({})) {
    if (next->check_name(word)) return next;
  }
  return nullptr;
}

// Where in the command line the last word stands.
struct Place {
  const CLI::App* command;
  const CLI::Option* value_of = nullptr;  // the option before it wants it
  size_t arguments = 0;                   // words before it that belong to the command alone
};

Place PlaceOf(const CLI::App& app, const Words& words) {
  Place place{&app};
  for (auto word = words.begin(); word + 1 < words.end(); ++word) {
    if (place.value_of != nullptr) {
      place.value_of = nullptr;
    } else if (word->starts_with("-")) {
      const CLI::Option* option = OptionNamed(*place.command, *word);
      if (option != nullptr && TakesValue(*option)) place.value_of = option;
    } else if (const CLI::App* next = CommandNamed(*place.command, *word)) {
      place = {next};
    } else {
      ++place.arguments;
    }
  }
  return place;
}

// Of the command's arguments the one at `index`, or the last where it takes any number.
const CLI::Option* ArgumentAt(const CLI::App& command, size_t index) {
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_positional()) continue;
    if (index == 0 || option->get_items_expected_max() > 1) return option;
    --index;
  }
  return nullptr;
}

Words OptionsOf(const CLI::App& command) {
  Words names;
  for (const CLI::App* at = &command; at != nullptr; at = at->get_parent()) {
    for (const CLI::Option* option : at->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

Words CommandsOf(const CLI::App& command) {
  Words names;
  for (const CLI::App* next : command.get_subcommands([](const CLI::App* app) {
         return !app->get_group().empty();  // not hidden
       })) {
    names.push_back(next->get_name());
  }
  return names;
}

// What the store that the words or the environment name has; nothing where it cannot be asked.
Words NamesIn(const std::string& store, const char* verb, const char* list) {
  const auto client = Client::Connect(StoreDirectory(store));
  if (!client.ok()) return {};
  const auto result = (*client)->Call(verb, json::object());
  Words names;
  if (!result.ok()) return names;
  for (const json& row : (*result)[list]) names.push_back(row.value("name", ""));
  return names;
}

Words NamesFor(const CLI::Option& option, const std::string& store) {
  const std::string& description = option.get_description();
  Words names;
  if (description.starts_with("Branch")) names = NamesIn(store, "list", "branches");
  if (description.starts_with("Bookmark") || description.starts_with("Branch, or bookmark")) {
    std::ranges::copy(NamesIn(store, "bookmark-list", "bookmarks"), std::back_inserter(names));
  }
  return names;
}

std::string StoreIn(const Words& words) {
  const auto option = std::ranges::find(words, "--store");
  return option == words.end() || option + 1 == words.end() ? "" : *(option + 1);
}

// For the last of the words, which may be empty.
Words CandidatesFor(const CLI::App& app, const Words& words) {
  const Place place = PlaceOf(app, words);
  Words candidates;
  if (place.value_of != nullptr) {
    candidates = NamesFor(*place.value_of, StoreIn(words));
  } else if (words.back().starts_with("-")) {
    candidates = OptionsOf(*place.command);
  } else if (const CLI::Option* argument = ArgumentAt(*place.command, place.arguments)) {
    candidates = NamesFor(*argument, StoreIn(words));
  } else {
    candidates = CommandsOf(*place.command);
  }
  std::erase_if(candidates,
                [&](const std::string& candidate) { return !candidate.starts_with(words.back()); });
  return candidates;
}

}  // namespace

void AddCompletion(CommandLine& line) {
  CLI::App* command =
      line.Add("completion", "Print what lets a shell complete velafs and velapg",
               "velafs completion bash > ~/.local/share/bash-completion/completions/velafs\n"
               "  velafs completion zsh > ~/.zfunc/_velafs\n"
               "  velafs completion fish > ~/.config/fish/completions/velafs.fish");
  const auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->type_name("")
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  line.OnRun(command, [shell](const Globals&) {
    return WriteOut(std::string(*shell == "bash" ? kBash : *shell == "zsh" ? kZsh : kFish));
  });

  CLI::App* candidates = line.Add("candidates", "What may follow the words of a command line",
                                  "velafs candidates -- clone ma");
  candidates->group("");  // for those functions
  const auto words = std::make_shared<Words>();
  candidates->add_option("WORDS", *words, "The words after velafs")->type_name("");
  line.OnRun(candidates, [words, &app = line.app()](const Globals&) {
    if (words->empty()) words->emplace_back();
    std::string lines;
    for (const std::string& candidate : CandidatesFor(app, *words)) lines += candidate + "\n";
    return WriteOut(lines);
  });
}

}  // namespace velafs::cli
