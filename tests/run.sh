#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test: the unit tests case by case, then each
# integration/*_test.sh. The last line is `N passed, N failed` and, if any, `, N skipped`.
#
#   sudo ./tests/run.sh [--quick] [--asan] [--tsan]
#
#   --quick   less data and load, fewer repetitions
#   --asan    the unit tests once more with AddressSanitizer and UndefinedBehaviorSanitizer
#   --tsan    the unit tests once more with ThreadSanitizer
#
# Each test runs in integration/sandbox.sh: nothing of it stays, even when this script is killed. What
# the tests printed is kept in build/release/logs.

# shellcheck source=../integration/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../integration/lib.sh"

test_timeout_s=1500
sanitizers=()
for argument in "$@"; do
  case $argument in
    --quick) export VELAFS_QUICK=1 VELAFS_SCALE=2 VELAFS_SECONDS=5 VELAFS_CLONES=3 VELAFS_KILLS=1 VELAFS_CUTS=2 VELAFS_STEPS=500 ;;
    --asan | --tsan) sanitizers+=("${argument#--}") ;;
    --help) exec sed -n '2,/^$/ s/^# \{0,1\}//p' "$0" ;;
    *) die "unknown option \"$argument\" (see --help)" ;;
  esac
done

passed=0
failed=0
skipped=0
child=

stop_child() {
  [[ -z $child ]] || kill -TERM "$child" 2>/dev/null || true
  [[ -z $child ]] || wait "$child" || true
}
trap stop_child EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Runs a command so that a signal to this script ends both.
run_child() {
  local status=0
  "$@" &
  child=$!
  wait "$child" || status=$?
  child=
  return "$status"
}

# Where a kill of this script ends the compilers too.
run_build() { # run_build PRESET DIRECTORY
  # shellcheck disable=SC2016
  run_child setpriv --pdeathsig TERM bash -c 'source "$1/integration/lib.sh" && build "$2" "$3"' \
    "$0" "$root_dir" "$@"
}

# run_test NAME FILTER COMMAND...: runs it in a sandbox; FILTER makes lines of `report` of its output.
run_test() {
  local name=$1 filter=$2 log=$build_dir/logs/$1.log start status=0 out counter
  shift 2
  start=$(now_ms)
  echo "$name"
  exec {out}> >("$filter" | tee "$log")
  counter=$!
  run_child setpriv --pdeathsig TERM "$root_dir/integration/sandbox.sh" --timeout "$test_timeout_s" \
    "$@" >&"$out" 2>&1 {out}>&- || status=$?
  exec {out}>&-
  wait "$counter" || true

  local passes fails skips
  passes=$(grep -c '^  PASS  ' "$log") || true
  fails=$(grep -c '^  FAIL  ' "$log") || true
  skips=$(grep -c '^  SKIP  ' "$log") || true
  if ((status != 0 && status != skip_status && fails == 0)); then
    report FAIL "ended with status $status"
    fails=1
  fi
  if ((passes + fails + skips == 0)); then
    report FAIL "ran no test"
    fails=1
  fi
  echo "  $passes passed, $fails failed, $skips skipped in $(in_words $(($(now_ms) - start)))"
  ((passed += passes, failed += fails, skipped += skips)) || true
}

# doctest heads a case before it runs, and names it with its time afterwards. The heading is only of
# use above a failure.
report_cases() {
  awk '
    /^=+$/ { heading = $0; next }
    heading && (/^$/ || /^TEST CASE:/ || /^[^ ]+:[0-9]+:$/) { heading = heading "\n" $0; next }
    /^[0-9.]+ s: / {
      name = $0
      sub(/^[0-9.]+ s: /, "", name)
      printf "  %s  %-78s %7d ms\n", failed ? "FAIL" : "PASS", name, $1 * 1000
      heading = ""
      failed = 0
      fflush()
      next
    }
    {
      if (/: (FATAL )?ERROR: /) failed = 1
      if (heading && !/^\[doctest\]/) print heading
      heading = ""
      print
      fflush()
    }'
}

run_unit_tests() { # run_unit_tests NAME DIRECTORY [WRAPPER...]
  local name=$1 directory=$2
  shift 2
  run_test "$name" report_cases "$@" "$directory/tests/velafs_tests" --duration=true
}

need_root
started=$(now_ms)
packages+=("${packaging_packages[@]}")
install_packages
run_build release "$build_dir"
echo "built in $(in_words $(($(now_ms) - started)))"
export VELAFS_PREPARED=1
mkdir -p "$build_dir/logs"

run_unit_tests "unit tests" "$build_dir"
for sanitizer in "${sanitizers[@]}"; do
  directory=${build_dir%/*}/$sanitizer
  run_build "$sanitizer" "$directory"
  # ThreadSanitizer of gcc 12 does not know the address layouts of newer kernels.
  run_unit_tests "unit tests, $sanitizer" "$directory" setarch --addr-no-randomize
done
for script in "$root_dir"/integration/*_test.sh; do
  VELAFS_SANDBOX='' run_test "${script##*/}" cat "$script"
done

summary="$passed passed, $failed failed"
((skipped == 0)) || summary+=", $skipped skipped"
echo "logs are in $build_dir/logs; it took $(in_words $(($(now_ms) - started)))"
echo "$summary"
((failed == 0))
