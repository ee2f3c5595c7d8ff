#!/usr/bin/env bash
# PostgreSQL's own regression tests on a branch, and on a directory of the host's filesystem: the same
# tests must pass on both, and fail with the same differences.
#
#   sudo integration/regress.sh DIRECTORY [TEST...]
#
# DIRECTORY is src/test/regress of the source of the version that is installed, for one as
# `apt-get source postgresql-15` unpacks it. pg_regress and the headers come with the package
# postgresql-server-dev-15. With TESTs only those run, in place of the whole schedule.
if [[ ${1:-} == --help || $# == 0 ]]; then
  exec sed -n '2,/^[^#]/ s/^# \{0,1\}//p' "$0"
fi
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
suite=$(realpath "$1")
[[ -f $suite/parallel_schedule && -d $suite/sql && -f $suite/regress.c ]] ||
  die "there are no regression tests in \"$suite\": unpack the source of PostgreSQL, and name its src/test/regress"
begin "$@"
shift
tests=("$@")
((${#tests[@]} > 0)) || tests=("--schedule=$suite/parallel_schedule")
pg_regress=$("$pg_bin/pg_config" --pgxs | sed 's|/src/makefiles/pgxs.mk$||')/src/test/regress/pg_regress
[[ -x $pg_regress ]] || die "there is no \"$pg_regress\": install postgresql-server-dev-$(basename "$(dirname "$pg_bin")")"

library=$VELAFS_SANDBOX/library
mkdir "$library"
gcc -shared -fPIC -O1 -w -I "$("$pg_bin/pg_config" --includedir-server)" -o "$library/regress.so" "$suite/regress.c"
chmod -R a+rX "$VELAFS_SANDBOX"

make_cluster "$VELAFS_SANDBOX/cluster" 0
velafs -q init
velafs -q import main --from-dir "$VELAFS_SANDBOX/cluster"
velafs -q mount

regress() { # regress NAME HOST PORT: what it prints is in NAME/out
  local out=$VELAFS_SANDBOX/$1
  install -d -o postgres "$out"
  (cd "$out" && as_postgres "$pg_regress" --inputdir "$suite" --outputdir "$out" --dlpath "$library" \
    --bindir "$pg_bin" --host "$2" --port "$3" --user postgres --max-concurrent-tests 20 \
    --max-connections 20 "${tests[@]}") >"$out/out" 2>&1 || true
  tail -n 4 "$out/out"
  grep -qE '^(not )?ok |\.\.\. (ok|FAILED)' "$out/out" || {
    cat "$out/out"
    fail "no test ran"
  }
}
# Each test with how it ended, without its time.
ends() {
  sed -nE 's/^[ +]*(test )?([a-z0-9_]+) +\.\.\. (ok|FAILED|failed).*/\2 \3/p' "$VELAFS_SANDBOX/$1/out" | sort
}

on_branch() {
  velafs -q clone main branch
  velapg --json start branch --profile inherit >"$VELAFS_SANDBOX/start.json"
  regress branch "$(jq -r .socket_dir "$VELAFS_SANDBOX/start.json")" "$(jq -r .port "$VELAFS_SANDBOX/start.json")"
  velapg -q stop branch
  checksums_hold branch
}
on_host() {
  host_start "$VELAFS_SANDBOX/cluster"
  regress host "$VELAFS_SANDBOX/cluster.run" 5432
  host_stop "$VELAFS_SANDBOX/cluster"
}
check "the regression tests run on a branch" on_branch
check "they run on the host's filesystem" on_host

same_ends() {
  at_least "$(ends branch | wc -l)" 1 "number of tests"
  diff <(ends host) <(ends branch) || fail "they end differently"
  echo "$(ends branch | grep -c ' ok$') of $(ends branch | wc -l) passed on both"
}
check "the same tests pass on both" same_ends
same_differences() {
  local clean='s/^(---|\+\+\+|diff) .*/\1/'
  diff <(sed -E "$clean" "$VELAFS_SANDBOX/host/regression.diffs" 2>/dev/null) \
    <(sed -E "$clean" "$VELAFS_SANDBOX/branch/regression.diffs" 2>/dev/null)
}
check "and what fails does so in the same way" same_differences
echo "        on the branch: $(ends branch | grep -c ' ok$') passed, $(ends branch | grep -vc ' ok$') failed;" \
  "on the host: $(ends host | grep -c ' ok$') passed, $(ends host | grep -vc ' ok$') failed"
if ends branch | has_line -v ' ok$'; then ends branch | grep -v ' ok$' | sed 's/^/        /'; fi
