// `velafs completion`: the functions that ask velafs and velapg when Tab is pressed.
#include <string_view>

#include "velafs/candidates.h"
#include "velafs/cli/command.h"
#include "velafs/cli/output.h"

namespace velafs::cli {
namespace {

using Words = std::vector<std::string>;

// Each asks the program whose line it is. A single line that begins with a colon stands for what
// the shell itself knows; files are offered nowhere else. `=` ends what has a value to follow. bash
// inserts a word as it is, and would run a command in it; the other shells quote.
constexpr std::string_view kBash = R"sh(# Completes velafs and velapg.
_velafs() {
  local program=${COMP_WORDS[0]}
  mapfile -t COMPREPLY < <("$program" candidates -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  case ${COMPREPLY[0]-} in
    :files) COMPREPLY=() && compopt -o default ;;
    :directories) COMPREPLY=() && compopt -o dirnames ;;
    :commands) mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}") ;;
    *=) compopt -o nospace ;;
  esac
  local i
  for i in "${!COMPREPLY[@]}"; do printf -v "COMPREPLY[i]" %q "${COMPREPLY[i]}"; done
}
# A bookmark's name has an @ in it, at which bash would begin another word.
COMP_WORDBREAKS=${COMP_WORDBREAKS//@/}
complete -F _velafs velafs velapg
)sh";

constexpr std::string_view kZsh = R"sh(#compdef velafs velapg
_velafs() {
  local -a candidates
  candidates=("${(@f)$("$words[1]" candidates -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  candidates=(${candidates:#})
  case $candidates[1] in
    :files) _files ;;
    :directories) _files -/ ;;
    :commands) _command_names ;;
    *=) compadd -S '' -- $candidates ;;
    *) (( $#candidates )) && compadd -- $candidates ;;
  esac
}
if [[ $funcstack[1] == _velafs ]]; then _velafs "$@"; else compdef _velafs velafs velapg; fi
)sh";

constexpr std::string_view kFish = R"sh(# Completes velafs and velapg.
function __velafs_candidates
    set -l words (commandline --tokenize --cut-at-cursor)
    set -l last (commandline --current-token --cut-at-cursor)
    set -l candidates (command $words[1] candidates -- $words[2..-1] "$last" 2>/dev/null)
    switch "$candidates[1]"
        case :files
            __fish_complete_path "$last"
        case :directories
            __fish_complete_directories "$last"
        case :commands
            complete --do-complete "$last"
        case '*'
            string join \n -- $candidates
    end
end
complete --command velafs --no-files --arguments '(__velafs_candidates)'
complete --command velapg --no-files --arguments '(__velafs_candidates)'
)sh";

}  // namespace

void AddCompletion(CommandLine& line) {
  CLI::App* command =
      line.Add("completion", "Print a script with which a shell completes velafs and velapg",
               "velafs completion bash >> ~/.bash_completion\n"
               "  velafs completion zsh > ~/.zfunc/_velafs\n"
               "  velafs completion fish > ~/.config/fish/conf.d/velafs.fish");
  const auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->type_name("")
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  line.OnRun(command, [shell](const Globals& globals) {
    if (globals.json) {
      return UsageError("the script for a shell is not a JSON document", "leave out --json");
    }
    return WriteOut(std::string(*shell == "bash" ? kBash : *shell == "zsh" ? kZsh : kFish));
  });

  CLI::App* candidates = line.Add("candidates", "What may follow the words of a command line",
                                  "velafs candidates -- clone ma");
  candidates->group("");  // for those functions
  const auto words = std::make_shared<Words>();
  candidates->add_option("WORDS", *words, "The words after velafs")->type_name("");
  line.OnRun(candidates, [words, &app = line.app()](const Globals&) {
    std::string lines;
    for (const std::string& candidate : Candidates(app, *words)) lines += candidate + "\n";
    return WriteOut(lines);
  });
}

}  // namespace velafs::cli
