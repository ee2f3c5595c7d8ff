#!/usr/bin/env bash
# The rules of the source that tools can check: clang and its thread safety checks, the format, what
# clang-tidy and shellcheck find, the words.
#
#   tests/rules_test.sh [--all]
#
#   --all   clang-tidy looks at every file, not only at those of the newest commits

# shellcheck source=../integration/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../integration/lib.sh"

clang_dir=${build_dir%/*}/clang
single_dir=${build_dir%/*}/single
cd "$root_dir"
sources=$(git ls-files '*.cc' '*.h')

configure() { # configure DIRECTORY [OPTION...]: for clang
  local directory=$1
  shift
  cmake --preset release -B "$directory" -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_CXX_COMPILER_LAUNCHER= "$@" >/dev/null
}

# Compiles nothing: clang's checks need the syntax only.
compiles_with_clang() {
  configure "$clang_dir"
  jq -r '.[] | "cd \(.directory | @sh) && \(.command) -fsyntax-only"' "$clang_dir/compile_commands.json" |
    tr '\n' '\0' | xargs -0 --max-procs "$(nproc)" --replace bash -c '{}'
}

is_formatted() {
  # shellcheck disable=SC2086
  clang-format --dry-run -Werror $sources
}

scripts_are_clean() {
  # shellcheck disable=SC2046
  shellcheck --severity warning $(git ls-files '*.sh' '.ci/run')
}

# Those of the newest commits: a processor takes half a minute for one.
changed_sources() {
  local base
  base=$(git rev-list --max-count 4 HEAD | tail -n 1)
  git diff --name-only --diff-filter AM "$base" HEAD -- '*.cc' | head -n 12
}

is_tidy() {
  local -a files
  configure "$single_dir" -DVELAFS_UNITY=OFF
  if [[ ${1:-} == --all ]]; then mapfile -t files < <(git ls-files '*.cc'); else mapfile -t files < <(changed_sources); fi
  ((${#files[@]} > 0)) || return 0
  printf '%s\0' "${files[@]}" |
    xargs -0 --max-procs "$(nproc)" --max-args 1 clang-tidy -p "$single_dir" --quiet --warnings-as-errors='*' 2> >(grep -v 'warnings generated' >&2)
}

# Each of these has one word in this project, and only one.
other_words=(
  '\bsnapshots?\b=bookmark'
  '\bsnapshotted\b=frozen'
  '\bdedup\b=dedupe'
  '\bneutralize=neutralise'
  '\bworkspaces?\b=branch'
)
speaks_one_language() {
  local pair word found=0
  for pair in "${other_words[@]}"; do
    word=${pair%=*}
    if git grep -nIiP "$word" -- velafs pgctl-wrapper include README.md SECURITY.md \
      ':!*.toml' | grep -vP 'btrfs|ZFS|pg_snapshots'; then
      echo "say \"${pair#*=}\" instead"
      found=1
    fi
  done
  ((found == 0))
}

# `area: what changes`, in one line that git log shows whole.
subjects_are_plain() {
  local bad
  bad=$(git log --max-count 30 --no-merges --format=%s | grep -vP '^[a-z0-9 ,/_.-]+: \S.{0,95}$' || true)
  [[ -z $bad ]] || fail "subjects of commits: $bad"
}

# Files of a module are compiled together (VELAFS_UNITY): a constant of one file that has the name of a
# common one would silently take its place in others.
hides_no_common_constant() {
  local names bad
  names=$(grep -hoP '^(inline )?constexpr [^=({]*?\K\bk[A-Z]\w*(?= *[={(])' velafs/base/*.h | sort -u | paste -sd '|')
  [[ $names == *kMaxFileBytes* ]] || fail "the common constants were not found: $names"
  bad=$(git ls-files '*.cc' ':!velafs/base/*' | xargs grep -nP "^(static |inline )?const(expr|init)? [^=({]*?\b($names) *[={(\[]" || true)
  [[ -z $bad ]] || fail "these hide a constant of velafs/base: $bad"
}

has_tool() { # has_tool PROGRAM [VERSION]
  command -v "$1" >/dev/null && [[ -z ${2:-} || $("$1" --version) == *"version $2."* ]]
}

if has_tool clang++; then
  check "clang compiles everything, and finds no lock missing" compiles_with_clang
else
  skip "clang compiles everything, and finds no lock missing" "there is no clang++"
fi
# Versions differ in what they make of the same rules.
if has_tool clang-format 14; then
  check "the source has the format of the house" is_formatted
else
  skip "the source has the format of the house" "there is no clang-format 14"
fi
if has_tool clang-tidy 14; then
  check "clang-tidy finds nothing in what has changed" is_tidy "$@"
else
  skip "clang-tidy finds nothing in what has changed" "there is no clang-tidy 14"
fi
if has_tool shellcheck; then
  check "shellcheck finds nothing in the scripts" scripts_are_clean
else
  skip "shellcheck finds nothing in the scripts" "there is no shellcheck"
fi
check "no file's constant hides a common one" hides_no_common_constant
check "each thing has its one word" speaks_one_language
check "subjects of commits say where and what" subjects_are_plain
((failures == 0))
