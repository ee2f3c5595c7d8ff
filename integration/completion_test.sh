#!/usr/bin/env bash
# One file completes velafs and velapg, in each shell that is installed.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

make_store 0
velafs -q clone main pr-1
velafs -q clone main gone
velafs -q delete gone
velafs -q bookmark create main@then
mkdir cwd
touch cwd/pr-file cwd/main-file

# in_bash WORD...: what Tab offers at the end of that line, in a directory with files named like branches.
in_bash() {
  velafs completion bash >completion
  # shellcheck disable=SC2016
  bash --norc -c 'source completion; cd cwd; compopt() { echo "compopt $*"; }
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _velafs; ((${#COMPREPLY[@]} == 0)) || printf "%s\n" "${COMPREPLY[@]}"' bash "$@"
}

bash_names() {
  equal "$(in_bash velafs show p)" pr-1
  equal "$(in_bash velapg start p)" pr-1
  equal "$(in_bash velapg run main@)" main@then
  equal "$(in_bash velafs undelete '')" gone
  equal "$(in_bash velapg restart pr-1 --netw)" --network
  equal "$(in_bash velapg restart pr-1 --network = ho)" host
  equal "$(in_bash velafs clone main p)" "" "for a name that is yet to be"
  equal "$(in_bash velafs policy set main tcp)" $'compopt -o nospace\ntcp='
  equal "$(in_bash velafs policy apply '')" 'compopt -o default'
  equal "$(in_bash velafs import x --from-dir '')" 'compopt -o dirnames'
  in_bash velapg run main -- psq | has_line -x psql
}
check "bash completes names by kind, and files only where one is meant" bash_names

bash_registers() {
  velafs completion bash >completion
  equal "$(bash --norc -c 'source completion; complete -p velafs velapg')" \
    $'complete -F _velafs velafs\ncomplete -F _velafs velapg'
}
check "one file of bash's is for both programs" bash_registers

zsh_names() {
  mkdir -p zfunc
  velafs completion zsh >zfunc/_velafs
  # shellcheck disable=SC2016
  zsh -f -c 'compadd() { while [[ $1 != -- ]]; do shift; done; shift; print -l -- "$@" }
    _files() { print files "$@" }; _command_names() { print commands }; compdef() { print "compdef $*" }
    source zfunc/_velafs
    words=(velafs show p) CURRENT=3; _velafs
    words=(velapg start p) CURRENT=3; _velafs
    words=(velafs policy apply "") CURRENT=4; _velafs' >out
  equal "$(cat out)" $'compdef _velafs velafs velapg\npr-1\npr-1\nfiles'
}
if command -v zsh >/dev/null; then
  check "zsh completes both programs" zsh_names
else
  skip "zsh completes both programs" "zsh is not installed"
fi

fish_names() {
  velafs completion fish >completion.fish
  fish_complete() { HOME=$PWD fish --no-config -c "source completion.fish; cd cwd; complete --do-complete '$1'"; }
  equal "$(fish_complete 'velafs show p')" pr-1
  equal "$(fish_complete 'velapg start p')" pr-1
  equal "$(fish_complete 'velafs policy apply pr')" pr-file
}
if command -v fish >/dev/null; then
  check "fish completes both programs" fish_names
else
  skip "fish completes both programs" "fish is not installed"
fi
