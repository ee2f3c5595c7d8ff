#!/usr/bin/env bash
# Builds the unit tests with a sanitizer and runs them: all of them, or with ThreadSanitizer those of
# files that start threads.
#
#   tests/sanitized.sh asan|tsan [ARGUMENT-OF-DOCTEST...]

# shellcheck source=../integration/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../integration/lib.sh"

preset=$1
shift
directory=${build_dir%/*}/$preset
build "$preset" "$directory"

only=()
if [[ $preset == tsan ]]; then
  files=$(cd "$root_dir" && grep -lE 'std::(jthread|thread|async)\b' tests/*/*_test.cc tests/*/*/*_test.cc | sed 's/^/*/' | paste -sd,)
  only=(--source-file="$files")
fi
# ThreadSanitizer of gcc 12 does not know the address layouts of newer kernels.
exec setarch --addr-no-randomize "$directory/tests/velafs_tests" --duration=true "${only[@]}" "$@"
