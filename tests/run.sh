#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test: the rules of the source, the unit tests case by
# case, then each integration/*_test.sh. The last line is `N passed, N failed` and, if any, `, N skipped`.
#
#   sudo ./tests/run.sh [OPTION...] [NAME...]
#
#   NAME        run only the tests whose names contain it: "unit", "merge_test.sh"
#   --jobs N    run N tests at a time (default: one more than there are processors)
#   --quick     less data and load, fewer repetitions
#   --asan[=K/N]  the unit tests once more with AddressSanitizer and UndefinedBehaviorSanitizer, or
#                 only the Kth of N parts of them, from 0 on
#   --tsan[=K/N]  likewise those that use threads, with ThreadSanitizer
#   --list      name the tests and run none
#
# Each test runs in integration/sandbox.sh: nothing of it stays, even when this script is killed. Its
# output is shown when it ends, and kept in build/release/logs.

# shellcheck source=../integration/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../integration/lib.sh"

jobs=$(($(nproc) + 1))
list_only=
wanted=()
sanitizers=()
while (($# > 0)); do
  case $1 in
    --quick) export VELAFS_QUICK=1 VELAFS_SCALE=2 VELAFS_SECONDS=5 VELAFS_CLONES=3 VELAFS_KILLS=1 VELAFS_CUTS=2 VELAFS_STEPS=500 ;;
    --asan | --tsan) sanitizers+=("${1#--}=0/1") ;;
    --asan=*/* | --tsan=*/*) sanitizers+=("${1#--}") ;;
    --list) list_only=yes ;;
    --jobs)
      jobs=${2:-}
      [[ $jobs =~ ^[1-9][0-9]*$ ]] || die "--jobs takes a number"
      shift
      ;;
    --help) exec sed -n '2,/^$/ s/^# \{0,1\}//p' "$0" ;;
    -*) die "unknown option \"$1\" (see --help)" ;;
    *) wanted+=("$1") ;;
  esac
  shift
done

# ---- The tests -------------------------------------------------------------------------------------

names=()           # in the order in which they start
declare -A command=() # of a name: the arguments of run_one.sh, quoted
declare -A alone=()   # names of those that run while no other does

is_wanted() {
  local pattern
  ((${#wanted[@]} > 0)) || return 0
  for pattern in "${wanted[@]}"; do [[ $1 != *"$pattern"* ]] || return 0; done
  return 1
}

add_test() { # add_test NAME ARGUMENT-OF-RUN_ONE...
  local name=$1
  shift
  is_wanted "$name" || return 0
  names+=("$name")
  command[$name]="${*@Q}"
}

add_script() {
  local script=$1
  add_test "${script##*/}" "${script##*/}" "$script"
  ! grep -q '^# needs: the machine alone$' "$script" || alone[${script##*/}]=yes
}

add_unit_tests() { # add_unit_tests NAME [ARGUMENT-OF-DOCTEST...]
  local name=$1
  shift
  add_test "$name" --doctest "$name" "$build_dir/tests/velafs_tests" --duration=true "$@"
}

# The longest first, so that none of them is what all wait for in the end.
add_all_tests() {
  local script sanitizer
  local -a long=(debian_13 packages)
  for sanitizer in "${sanitizers[@]}"; do
    add_test "unit tests, $sanitizer" --doctest "unit tests, $sanitizer" \
      "$root_dir/tests/sanitized.sh" "${sanitizer%=*}" --part "${sanitizer#*=}"
  done
  for script in "${long[@]}"; do add_script "$root_dir/integration/${script}_test.sh"; done
  add_unit_tests "unit tests of store" --source-file='*/tests/store/*'
  add_unit_tests "unit tests of cli" --source-file='*/tests/cli/*'
  add_unit_tests "unit tests of the rest" --source-file-exclude='*/tests/store/*,*/tests/cli/*'
  add_test "rules_test.sh" "rules_test.sh" "$root_dir/tests/rules_test.sh"
  for script in "$root_dir"/integration/*_test.sh; do
    [[ " ${long[*]} " == *" $(basename "$script" _test.sh) "* ]] || add_script "$script"
  done
}

# ---- Running them ----------------------------------------------------------------------------------

declare -A running=() # of a process of run_one.sh: the name
passed=0
failed=0
skipped=0

stop_all() {
  ((${#running[@]} == 0)) || kill -TERM "${!running[@]}" 2>/dev/null || true
  wait
}
trap stop_all EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

log_of() {
  echo "$build_dir/logs/${1//[^a-zA-Z0-9_.]/_}.log"
}

start_test() {
  local -a arguments
  eval "arguments=(${command[$1]})"
  setpriv --pdeathsig TERM "$root_dir/tests/run_one.sh" "${arguments[@]}" >"$(log_of "$1")" 2>&1 &
  running[$!]=$1
}

# Waits until a test ends, shows what it printed and counts its cases.
end_test() {
  local pid log status=0
  wait -n -p pid "${!running[@]}" || status=$?
  log=$(log_of "${running[$pid]}")
  unset "running[$pid]"
  cat "$log"
  ((status == 0)) || report FAIL "run_one.sh ended with status $status" | tee -a "$log"
  ((passed += $(grep -c '^  PASS  ' "$log"))) || true
  ((failed += $(grep -c '^  FAIL  ' "$log"))) || true
  ((skipped += $(grep -c '^  SKIP  ' "$log"))) || true
}

run_all() {
  local name
  for name in "${names[@]}"; do
    [[ -z ${alone[$name]:-} ]] || continue
    ((${#running[@]} < jobs)) || end_test
    start_test "$name"
  done
  while ((${#running[@]} > 0)); do end_test; done
  for name in "${names[@]}"; do
    [[ ${alone[$name]:-} ]] || continue
    start_test "$name"
    end_test
  done
}

# Where a kill of this script ends the compilers too.
build_all() {
  # shellcheck disable=SC2016
  setpriv --pdeathsig TERM bash -c 'source "$1/integration/lib.sh" && build release "$2"' \
    "$0" "$root_dir" "$build_dir" &
  running[$!]=build
  wait $!
  unset "running[$!]"
}

add_all_tests
((${#names[@]} > 0)) || die "no test has such a name (see --list)"
if [[ $list_only ]]; then
  printf '%s\n' "${names[@]}"
  exit
fi
need_root
started=$(now_ms)
packages+=("${test_packages[@]}")
install_packages
build_all
echo "built in $(in_words $(($(now_ms) - started)))"
export VELAFS_PREPARED=1
mkdir -p "$build_dir/logs"
run_all

summary="$passed passed, $failed failed"
((skipped == 0)) || summary+=", $skipped skipped"
echo "logs are in $build_dir/logs; it took $(in_words $(($(now_ms) - started)))"
echo "$summary"
((failed == 0))
