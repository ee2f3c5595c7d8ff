#!/usr/bin/env bash
# Builds the unit tests with a sanitizer and runs them: all of them, or with ThreadSanitizer those of
# files that start threads.
#
#   tests/sanitized.sh asan|tsan [--part K/N] [ARGUMENT-OF-DOCTEST...]
#
#   --part K/N   only the Kth of N parts of the tests, from 0 on

# shellcheck source=../integration/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../integration/lib.sh"

preset=$1
shift
part=0
parts=1
if [[ ${1:-} == --part ]]; then
  part=${2%/*}
  parts=${2#*/}
  shift 2
fi
directory=${build_dir%/*}/$preset
build "$preset" "$directory"

only=()
if [[ $preset == tsan ]]; then
  files=$(cd "$root_dir" && grep -lE 'std::(jthread|thread|async)\b' tests/*/*_test.cc tests/*/*/*_test.cc | sed 's/^/*/' | paste -sd,)
  only=(--source-file="$files")
fi
# A daemon that has given up its rights cannot look for leaks at its end, and fails for that.
export ASAN_OPTIONS=detect_leaks=0
# ThreadSanitizer of gcc 12 does not know the address layouts of newer kernels.
tests=(setarch --addr-no-randomize "$directory/tests/velafs_tests" "${only[@]}" "$@")
count=$("${tests[@]}" --count 2>&1 | sed -n 's/.*current filters: \([0-9]*\)$/\1/p')
exec "${tests[@]}" --duration=true \
  --first=$((count * part / parts + 1)) --last=$((count * (part + 1) / parts))
