#!/usr/bin/env bash
# With --json each command prints one document, with the fields that velafs/api/API.md has for it, and no
# others.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

make_cluster "$VELAFS_SANDBOX/cluster" 0
reference=$root_dir/velafs/api/API.md

# ---- The reference

# Lines "command<TAB>field field ...": of "`velafs mount`, `umount`" two. What is not code is for people.
read_reference() {
  awk -F' \\| ' '
    /^## What the programs print/ { on = 1 }
    /^## / && !/What the programs print/ { on = 0 }
    on && /^\| `vela/ {
      fields = ""
      rest = $2
      while (match(rest, /`[^`]+`/)) {
        word = substr(rest, RSTART + 1, RLENGTH - 2)
        rest = substr(rest, RSTART + RLENGTH)
        if (word !~ /^-/ && word !~ / /) fields = fields " " word
      }
      rest = $1
      program = ""
      while (match(rest, /`[^`]+`/)) {
        command = substr(rest, RSTART + 1, RLENGTH - 2)
        rest = substr(rest, RSTART + RLENGTH)
        if (command ~ /^vela/) program = substr(command, 1, 6)
        else if (command ~ /^-/) continue
        else command = program " " command
        if (command ~ / (set|unset)$/) sub(/^velafs (set|unset)/, "velafs policy &", command)
        sub(/policy velafs /, "policy ", command)
        print command "\t" fields
      }
    }' "$reference"
}

# The fields of one of these are those of the paragraph that begins with its name, as {"a","b",...}.
fields_of() { # fields_of "A branch"
  awk -v start="$1: " 'index($0, start) == 1 { on = 1 } on { print } on && /}/ { exit }' "$reference" |
    tr -d '\n' | grep -o '{[^}]*}' | head -n 1 | jq -Rr '[scan("\"([a-z_]+)\"") | .[0]] | join(" ")'
}
read_reference >documented
branch_fields=$(fields_of "A branch")
bookmark_fields=$(fields_of "A bookmark")

# What a command's row says, a field a line, with BRANCH and BOOKMARK spelled out.
documented_for() {
  local word kind field
  # shellcheck disable=SC2013 # these are words
  for word in $(awk -F'\t' -v command="$1" '$1 == command { print $2 }' documented); do
    case $word in
      *BRANCH) kind=$branch_fields ;;
      *BOOKMARK) kind=$bookmark_fields ;;
      *)
        echo "$word"
        continue
        ;;
    esac
    for field in $kind; do echo "${word%B*}$field$([[ $field != labels ]] || echo '{}')"; done
  done
}

# The fields of a document that its row lacks, and those that it lacks of its row.
# shellcheck disable=SC2016
readonly compare='
  ($row | split("\n") | map(select(. != ""))) as $words
  | ($words | map(rtrimstr("?"))) as $known
  | ($words | map(select(endswith("?") | not) | gsub("[\\[{].*|\\..*"; "")) | unique) as $needed
  | [paths(type as $t | ($t != "object" and $t != "array") or length == 0)
     | map(if type == "number" then "[]" else . end) | join(".") | gsub("\\.\\[\\]"; "[]")] as $printed
  | def is_known: . as $path
      | any($known[]; . == $path or . == $path + "{}" or startswith($path + "[") or startswith($path + ".")
          or (endswith("{}") and (.[:-2] as $map | $path | startswith($map + ".")))
          or (endswith("[]") and (. as $list | $path | startswith($list + ".") or startswith($list + "["))));
  (($printed | map(select(is_known | not)) | unique | map("undocumented: " + .))
   + ($needed - [keys[]] | map("missing: " + .)))[]'

commands_run=()

# prints COMMAND-OF-THE-REFERENCE [STATUS:N] PROGRAM ARGUMENT...
prints() {
  local command=$1 status=0 got=0 wrong
  shift
  if [[ $1 == status:* ]]; then
    status=${1#status:}
    shift
  fi
  commands_run+=("$command")
  local program=$1
  shift
  "$program" --json "$@" >document 2>error </dev/null || got=$?
  equal "$got" "$status" "exit status of $program $*: $(head -c 300 error)"
  equal "$(jq -s length document)" 1 "number of documents of $program $*: $(head -c 300 document)"
  [[ $(documented_for "$command") ]] || fail "the reference has no row for \"$command\""
  wrong=$(jq -r --arg row "$(documented_for "$command")" "$compare" document)
  [[ -z $wrong ]] || fail "$program $*: $wrong"
}

reference_is_read() {
  at_least "$(wc -l <documented)" 50 "commands in the reference"
  for name in instance own_bytes data_owner; do [[ " $branch_fields " == *" $name "* ]] || fail "a branch lacks $name"; done
  [[ " $bookmark_fields " == *" scheduled "* ]] || fail "a bookmark lacks scheduled"
  echo '{"name":"x","odd":1}' >document
  equal "$(jq -r --arg row $'name\nversion' "$compare" document)" $'undocumented: odd\nmissing: version' "of a wrong document"
}
check "the reference has the commands, and a wrong document is seen" reference_is_read

in_a_store() {
  prints "velafs init" velafs init
  prints "velafs import" velafs import main --from-dir "$VELAFS_SANDBOX/cluster"
  prints "velafs config show" velafs config show
  echo "store = \"$VELAFS_STORE\"" >velafs.conf
  prints "velafs config check" velafs config check velafs.conf
  prints "velafs mount" velafs mount
  prints "velafs clone" velafs clone main one --label a=b
  prints "velafs clone" velafs clone main two
  prints "velafs show" velafs show one
  prints "velafs list" velafs list
  prints "velafs rename" velafs rename two three
  prints "velafs protect" velafs protect three --for 1d
  prints "velafs unprotect" velafs unprotect three
  prints "velafs label" velafs label three c=d
  prints "velafs note" velafs note three text
  prints "velafs ttl" velafs ttl three 1d
  prints "velafs quota" velafs quota three 1G
  prints "velafs chown" velafs chown three root
  prints "velafs bookmark create" velafs bookmark create three@then
  prints "velafs bookmark list" velafs bookmark list
  prints "velafs tree" velafs tree
  prints "velafs approve" velafs approve three@then
  prints "velafs unapprove" velafs unapprove three@then
  prints "velafs reset" velafs reset three
  prints "velafs promote" velafs promote three --onto one
  prints "velafs delete" velafs delete three
  prints "velafs list" velafs list --trash
  prints "velafs undelete" velafs undelete three
  prints "velafs bookmark delete" velafs bookmark delete three@then
  prints "velafs export" velafs export three --to-dir "$PWD/exported"
  prints "velafs tablespaces" velafs tablespaces one
  prints "velafs expire" velafs expire
  printf '%s\n' "${commands_run[@]}" >>run
}
check "commands on branches and bookmarks print what is documented" in_a_store

has() { "$1" candidates -- "$2" | has_line -x "$2"; } # has PROGRAM COMMAND

on_the_store() {
  prints "velafs policy show" velafs policy show
  prints "velafs policy set" velafs policy set one ttl=1d
  prints "velafs policy unset" velafs policy unset one ttl
  printf '[store]\nttl = "3d"\n' >policies.toml
  prints "velafs policy apply" velafs policy apply policies.toml
  prints "velafs stats" velafs stats
  prints "velafs metrics" velafs metrics
  prints "velafs doctor" velafs doctor
  prints "velafs gc" velafs gc --trash
  prints "velafs seal" velafs seal
  prints "velafs scrub" velafs scrub
  prints "velafs audit" velafs audit
  prints "velafs audit ship" velafs audit ship --to "$PWD/shipped"
  prints "velafs audit verify" velafs audit verify
  prints "velafs audit trim" velafs audit trim --keep 100d
  prints "velafs audit ship" velafs audit ship --to "$PWD/shipped" --forget
  ! has velafs status || prints "velafs status" velafs status
  printf '%s\n' "${commands_run[@]}" >>run
}
check "commands on the store print what is documented" on_the_store

servers() {
  prints "velapg start" velapg start one --tcp
  prints "velapg restart" velapg restart one
  prints "velapg status BRANCH" velapg status one
  prints "velapg status" velapg status
  prints "velapg url" velapg url one --tcp
  prints "velapg env" velapg env one
  prints "velapg env" velapg env one --tcp
  prints "velapg logs" velapg logs one
  prints "velapg logs --rotate" velapg logs one --rotate
  prints "velapg run" status:3 velapg run main -- sh -c 'echo output; exit 3'
  has_line -x output <error
  prints "velapg run" velapg run --parallel 2 main -- echo output
  equal "$(jq -c . document)" '{"exit_status":0,"source":"main"}'
  prints "velapg inspect" velapg inspect main --schema --relations
  sql one 'create table t as select 1'
  prints "velafs diff" velafs diff main one
  prints "velafs diff" velafs diff main one --tables --schema
  ! has velapg reset || prints "velapg reset" velapg reset one
  prints "velapg stop" velapg stop one
  prints "velapg stop" velapg stop one
  ! has velapg reset || prints "velapg stop --all" velapg stop --all
  prints "velapg status BRANCH" status:3 velapg status one
  prints "velapg --version" velapg --version
  prints "velafs --version" velafs --version
  printf '%s\n' "${commands_run[@]}" >>run
}
check "commands on servers print what is documented" servers

clusters() {
  local directory
  for directory in /etc/postgresql /var/lib/postgresql /etc/systemd/system; do # for this script alone
    mkdir -p "$directory"
    mount -t tmpfs -o mode=755 tmpfs "$directory"
  done
  prints "velapg register" velapg register one
  prints "velapg unregister" velapg unregister one
  printf '%s\n' "${commands_run[@]}" >>run
}
check "commands on clusters print what is documented" clusters

pools() {
  prints "velapg pool" velapg pool main --size 1
  prints "velapg pool list" velapg pool list
  prints "velapg take" velapg take main
  local taken
  taken=$(jq -r .branch document)
  ! has velapg renew || prints "velapg renew" velapg renew "$taken" --lease 1h
  prints "velapg release" velapg release "$taken"
  prints "velapg pool refresh" velapg pool refresh main
  prints "velapg pool fill" velapg pool fill main
  prints "velapg pool stop" velapg pool stop main
  prints "velafs umount" velafs umount
  printf '%s\n' "${commands_run[@]}" >>run
}
check "commands on pools print what is documented" pools

# Each command there is; a group that only has others is none.
commands_of() { # commands_of PROGRAM
  local command sub
  for command in $("$1" candidates -- ''); do
    [[ $command != @(completion|help|psql) ]] || continue # they print no document
    case $command in
      bookmark | config | policy) ;;
      *) echo "$1 $command" ;;
    esac
    for sub in $([[ $command == @(bookmark|config|policy|audit|pool) ]] && "$1" candidates -- --store /nonexistent "$command" ''); do
      echo "$1 $command $sub"
    done
  done
}

complete() {
  local command
  { commands_of velafs && commands_of velapg; } | sort -u >there
  while read -r command; do
    grep -qxF -- "$command" run || echo "not run: $command"
  done <there | tee missing
  [[ ! -s missing ]] || fail "commands are not held to the reference"
}
check "no command is left out" complete

failures_too() {
  local program command
  while read -r program command; do
    # shellcheck disable=SC2086
    for words in "$command --no-such-option" "--store /nonexistent/store $command nobody"; do
      "$program" --json $words >document 2>error </dev/null && continue
      jq -es 'length == 1 and (.[0].error | (.code | type) == "string" and (.message | type) == "string"
        and ((keys - ["code", "hint", "message"]) == []))' document >/dev/null ||
        fail "$program $words prints: $(head -c 300 document)"
    done
  done < <(grep -vE '^velafs (doctor|mount)$' there)
}
check "a failure is one document, too" failures_too

refused() {
  velafs -q mount
  velapg -q start one
  local got=0
  for words in "velapg psql one" "velapg logs one -f"; do
    got=0
    # shellcheck disable=SC2086
    ${words%% *} --json ${words#* } >document 2>error </dev/null || got=$?
    equal "$got" 2 "exit status of $words"
    equal "$(jq -r .error.code document)" usage "code of $words"
  done
}
check "what prints no document is refused" refused
