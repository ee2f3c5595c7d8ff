#!/usr/bin/env bash
# The manual has a place for everything a user meets, and what monitoring is told of exists.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

# All pages, those that the programs write and those written by hand, in one directory.
mkdir pages
velafs manual pages "$root_dir/velafs/api/API.md"
velapg manual -- pages "$root_dir/velafs/api/API.md"
cp "$root_dir"/packaging/man/* pages/

# sources: the text of both programs.
sources() {
  find "$root_dir/velafs" "$root_dir/pgctl-wrapper" -name '*.cc' -exec cat {} +
}

# words PATTERN: what the parentheses of PATTERN match in the sources, a line each.
words() {
  sources | sed -nE "s/.*$1.*/\1/p" | sort -u
}

# has_items PAGE WORD...: each has an item of a list, or a part of one, in PAGE.
has_items() {
  local page=$1 word missing=()
  shift
  (($# > 0)) || fail "there is nothing to look for in $page"
  for word in "$@"; do
    # shellcheck disable=SC2016
    grep -E '^\.(It|Nm) ' "pages/$page" | sed 's/\\fB//g; s/\\fP//g; s/\\&//g' |
      has_line -E "(^|[ /])$(sed 's/[.+]/\\&/g' <<<"$word")/?( |,|\$)" || missing+=("$word")
  done
  ((${#missing[@]} == 0)) || fail "$page lacks: ${missing[*]}"
}

# ---- Commands and their options --------------------------------------------------------------------

# commands PROGRAM: its commands, and theirs, as "bookmark create".
commands() {
  local command
  for command in $("$1" candidates -- ''); do
    echo "$command"
    case $command in
      audit | bookmark | config | policy | pool)
        "$1" candidates -- "$command" '' | grep -E '^[a-z]+$' | grep -vxFf <(velafs list --json | jq -r '.branches[].name') |
          sed "s/^/$command /"
        ;;
    esac
  done
}

velafs -q init
every_command() {
  local program command page
  for program in velafs velapg; do
    commands "$program" | while read -r command; do
      page=pages/$program-${command%% *}.1
      [[ -e $page ]] || fail "there is no page $page"
      # shellcheck disable=SC2086
      "$program" $command --help >help
      # shellcheck disable=SC2086
      "$program" help $command >with_text
      (($(wc -w <with_text) >= $(wc -w <help) + 8)) || fail "$program $command has no text beyond --help"
      sed -nE 's/^  (-[a-z],)?--([a-z-]+).*/\2/p' help | while read -r option; do
        [[ $option == help ]] || grep -E "^\.It .*Fl -$option( |\$)" -A1 "$page" | has_line '^[^.-]' ||
          fail "$page does not describe --$option"
      done || exit 1
    done || exit 1
  done
}
check "each command and option is described in a page" every_command

readme_commands() {
  local program
  sed -n '/^## Commands/,/^## Figures/p' "$root_dir/README.md" >readme
  for program in velafs velapg; do
    for command in $("$program" candidates -- ''); do
      [[ $command == completion || $command == help ]] && continue
      has_line -E "^\| .*\`${command}[\` ]" readme || fail "the README does not list $program $command"
    done
  done
  grep -E '^\| `' readme | cut -d'|' -f2 | grep -oE '\-\-[a-z][a-z-]+' | sort -u | while read -r option; do
    has_line -e "Fl ${option#-}\b" pages/*.1 || fail "the README has $option, and no command does"
  done
}
check "the README's tables have each command, and no option that is none" readme_commands

help_of_a_command() {
  has_line 'velafs clone main pr-42' < <(velafs help clone)
  has_line 'Deleting SOURCE does' < <(velafs help clone)
  has_line 'before-migration' < <(velafs help bookmark create)
  has_line 'velapg start pr-42' < <(velapg help start)
  refuses 2 'there is no command "velafs clown"' velafs help clown
  refuses 2 'there is no command "velapg pool clown"' velapg help pool clown
}
check "help prints the help of a command and its text" help_of_a_command

# ---- What is no command ----------------------------------------------------------------------------

# every_X takes the pages as they are: the last case here takes something out of them.
every_policy() {
  mapfile -t keys < <(velafs policy show --json | jq -r '.policies[].key')
  has_items velafs-policy.5 "${keys[@]}"
  local key
  for key in "${keys[@]}"; do
    sed -n "/^\.It Ic .*$key/,/^\.It/p" pages/velafs-policy.5 | has_line '^Default:' ||
      fail "velafs-policy.5 does not say the default of $key"
  done
}
check "each policy is in velafs-policy(5), with its default" every_policy

every_configuration_key() {
  mapfile -t keys < <(
    words 'ConfigurationKey\{"([a-z_.]+)"'
    sed -nE 's/^#?([a-z_]+) = .*/\1/p' "$root_dir/packaging/conf/velafs.conf"
  )
  has_items velafs.conf.5 "${keys[@]##*.}"
}
check "each key of the configuration is in velafs.conf(5)" every_configuration_key

every_variable() {
  # But for that of the build, which is no user's.
  mapfile -t names < <(sources | grep -v SOURCE_DATE_EPOCH | grep -oE '(getenv|Environment|FromEnvironment)\("[A-Z_]+"' | grep -oE '[A-Z_]{3,}' | sort -u)
  sed -n '/^\.Sh ENVIRONMENT/,/^\.Sh FILES/p' pages/velafs.1 pages/velapg.1 >pages/environment
  sed -i 's/^\.It \(.*\)/.It \1 ,/' pages/environment
  has_items environment "${names[@]}"
}
check "each environment variable is in velafs(1) or velapg(1)" every_variable

every_status_and_code() {
  mapfile -t rows < <(grep -oE 'CodeRow\{Code::k[A-Za-z]+, "[a-z_]+", [0-9]+' "$root_dir/velafs/base/status.cc")
  ((${#rows[@]} >= 9)) || fail "there are ${#rows[@]} codes in status.cc"
  has_items velafs.1 "${rows[@]##* }" 130 143
  has_items velapg.1 "${rows[@]##* }" 130 143
  local row code
  for row in "${rows[@]}"; do
    code=$(cut -d'"' -f2 <<<"$row")
    [[ $code == ok ]] || grep -F "\\fB$code\\fP" pages/velafs.1 | has_line . || fail "velafs.1 lacks the code $code"
  done
}
check "each exit status and each code of an error is in velafs(1)" every_status_and_code

every_unit() {
  mapfile -t units < <(find "$root_dir/packaging/systemd" -type f -printf '%f\n' | sort -u)
  has_items velafs.service.8 "${units[@]}"
}
check "each unit is in velafs.service(8)" every_unit

make_cluster cluster 0
velafs -q import main --from-dir cluster
velafs -q mount
velapg -q start main
every_file() {
  mapfile -t names < <(find "$VELAFS_STORE" -mindepth 1 -maxdepth 1 -printf '%f\n' |
    sed 's/^reserve\.[0-9]*$/reserve.N/' | sort -u)
  mapfile -t paths < <(sed -nE 's/.*return root \+ "(\/run)?\/([^"]+)".*/\2/p' "$root_dir/velafs/store/paths.h")
  ((${#paths[@]} > 5)) || fail "velafs/store/paths.h names ${#paths[@]} paths"
  mapfile -t in_run < <(find "$VELAFS_STORE/run" -mindepth 1 -maxdepth 1 ! -name '[0-9]*' -printf 'run/%f\n')
  has_items velafs.7 "${names[@]}" "${paths[@]}" "${in_run[@]}"
}
check "each file of a store is in velafs(7)" every_file
velapg -q stop main

references() {
  local of_others=' psql.1 initdb.1 systemd.1 mount.8 umount.8 updatedb.8 fstab.5 syncfs.2 '
  # mount.velafs(8) is of the package's helper.
  grep -hoE '\bXr [^ ]+ [1-8]' pages/*.[1-8] | sort -u | while read -r _ name section; do
    [[ -e pages/$name.$section || $of_others == *" $name.$section "* ]] || fail "there is no page $name($section)"
  done
}
check "each reference is to a page that there is" references

# The checks above are made of what they look for: without it they fail.
nothing_is_missed() {
  takes_out() { # takes_out PAGE PATTERN CHECK
    mkdir saved
    cp pages/* saved/
    sed -i "/$2/d" "pages/$1"
    ! cmp -s "pages/$1" "saved/$1" || fail "$1 has nothing like $2"
    ! ("$3") >/dev/null 2>&1 || fail "$3 does not see that $2 is gone"
    cp saved/* pages/
    rm -r saved
  }
  takes_out velafs-policy.5 '^.It Ic tcp' every_policy
  takes_out velafs.1 '^.It NO_COLOR' every_variable
  takes_out velapg.1 '^.It 6$' every_status_and_code
  takes_out velafs.7 '^.It Pa reserve' every_file
  takes_out velafs.service.8 'velafs-metrics.timer' every_unit
  takes_out velafs-clone.1 '^.It Fl -ttl' every_command
  echo '.Xr velafs-clown 1' >>pages/velafs.7
  ! (references) >/dev/null 2>&1 || fail "a reference to no page is not seen"
  sed -i '$d' pages/velafs.7
}
check "what is taken out of the manual is missed" nothing_is_missed

lint() {
  local out
  out=$(mandoc -T lint -W warning pages/*.[1-8] 2>&1) || true
  [[ -z $out ]] || fail "$out"
  mandoc -T utf8 -O width=78 pages/velafs-clone.1 | col -b | has_line '^NAME'
}
if command -v mandoc >/dev/null; then
  check "mandoc finds no fault in a page" lint
else
  skip "mandoc finds no fault in a page" "mandoc is not installed"
fi

# ---- Monitoring ------------------------------------------------------------------------------------

velafs -q clone main quoted --quota 1G --ttl 1d
velafs -q scrub >/dev/null
velafs metrics >metrics
sed -nE 's/^(velafs_[a-z_]+).*/\1/p' metrics | sort -u >printed

# uses FILE: the metrics that it names, all of which are printed.
uses() {
  local metric count=0
  for metric in $(grep -oE '\bvelafs_[a-z_]+' "$1" | sort -u); do
    has_line -xF "$metric" printed || fail "$1 uses $metric, which velafs metrics does not print"
    ((++count))
  done
  ((count >= 8)) || fail "$1 uses $count metrics"
}
check "the dashboard uses metrics that there are" uses "$root_dir/packaging/grafana/velafs.json"
check "the alerts use metrics that there are" uses "$root_dir/packaging/prometheus/velafs.rules.yml"

described() {
  jq -e '.panels | length > 10 and all(.targets[].expr | length > 0)' "$root_dir/packaging/grafana/velafs.json"
  local metric
  while read -r metric; do
    metric=$(sed -E 's/^(velafs_fsync_duration_seconds)_(bucket|sum|count)$/\1/' <<<"$metric")
    has_line -E "^# HELP $metric .{6}" metrics || fail "$metric has no HELP"
    has_line -E "^# TYPE $metric (gauge|counter|histogram)$" metrics || fail "$metric has no TYPE"
  done <printed
  for metric in daemon_memory_bytes daemon_start_timestamp_seconds scrub_timestamp_seconds disk_free_bytes \
    catalog_copy_timestamp_seconds fsync_duration_seconds_count requests_total; do
    at_least "$(sed -n "s/^velafs_$metric //p" metrics)" 1 "$metric"
  done
  has_line -xF 'velafs_scrub_damaged 0' metrics
  has_line -xF 'velafs_failed_branches 0' metrics
  if command -v promtool >/dev/null; then promtool check metrics <metrics; fi
}
check "metrics have a description each, and those of the daemon are there" described
velafs -q umount
