#!/usr/bin/env bash
# Runs one test in a sandbox. Prints its name, its cases, and what they come to.
#
#   tests/run_one.sh [--doctest] NAME COMMAND [ARGUMENT...]
#
#   --doctest   COMMAND prints what doctest prints with --duration=true

# shellcheck source=../integration/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../integration/lib.sh"

filter="cat"
if [[ $1 == --doctest ]]; then
  filter=report_cases
  shift
fi
name=$1
shift

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

child=
stop_child() {
  [[ -z $child ]] || kill -TERM "$child" 2>/dev/null || true
  [[ -z $child ]] || wait "$child" || true
}
trap stop_child EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

lines=$(mktemp)
start=$(now_ms)
echo "$name"
exec {out}> >("$filter" | tee "$lines")
counter=$!
setpriv --pdeathsig TERM "$root_dir/integration/sandbox.sh" --timeout "${VELAFS_TEST_TIMEOUT:-2400}" \
  "$@" >&"$out" 2>&1 {out}>&- &
child=$!
status=0
wait "$child" || status=$?
child=
exec {out}>&-
wait "$counter" || true

passes=$(grep -c '^  PASS  ' "$lines") || true
fails=$(grep -c '^  FAIL  ' "$lines") || true
skips=$(grep -c '^  SKIP  ' "$lines") || true
rm "$lines"
if ((status != 0 && status != skip_status && fails == 0)); then
  report FAIL "ended with status $status"
  fails=1
fi
if ((passes + fails + skips == 0)); then
  report FAIL "ran no test"
  fails=1
fi
echo "  $passes passed, $fails failed, $skips skipped in $(in_words $(($(now_ms) - start)))"
