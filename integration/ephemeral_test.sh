#!/usr/bin/env bash
# An ephemeral branch under PostgreSQL: what is frozen of it under load is whole, and when the daemon dies it is that again.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"
make_store 1

made() {
  equal "$(velafs --json clone main fast --ephemeral | jq .ephemeral)" true
  equal "$(field main ephemeral)" false
  velafs show fast | has_line '^ephemeral *yes: '
  ! { velafs show main || true; } | has_line ephemeral || fail "main is said to be ephemeral"
}
check "a clone is made ephemeral, and says so" made

kept_over_umount() {
  velapg -q start fast
  sql fast 'create table kept as select generate_series(1, 10000) as i'
  velapg -q stop fast
  velafs umount >/dev/null
  velafs -q mount
  velapg -q start fast
  equal "$(sql fast 'select count(*) from kept')" 10000
}
check "it outlives a clean end of the daemon" kept_over_umount

# start_load SECONDS: writes to branch "fast", and returns once something is written.
start_load() {
  local before
  before=$(commits)
  on fast pgbench --no-vacuum --client 4 --jobs 2 --time "$1" >pgbench.log 2>&1 &
  wait_until 20 has_commits_after "$before" || fail "pgbench writes nothing: $(tail -n 3 pgbench.log)"
}
commits() { sql fast 'select count(*) from pgbench_history'; }
has_commits_after() { (($(commits) > $1)); }

frozen_under_load() {
  start_load 4
  velafs -q bookmark create fast@point
  velafs -q clone fast copy
  wait $!
  velapg -q start copy
  invariant_holds copy
  velapg -q stop copy
}
check "what is frozen of it under load recovers" frozen_under_load

crashed() {
  local daemon
  sql fast 'create table lost (i int)'
  start_load 10
  daemon=$(daemon_pid)
  kill -KILL "$daemon"
  wait_until 10 has_ended "$daemon" || fail "the daemon does not end"
  wait $! || true
  velafs -q mount
  equal "$(sed -n 's/.*ephemeral branch \(.*\) has lost its changes.*/\1/p' "$VELAFS_STORE/run/velafs.log")" '"fast"'
  velafs audit --branch fast --verb reset | has_line 'fast'
  velapg -q start fast
  velafs -q clone fast@point again
  velapg -q start again
  # The frozen branch "copy" is a little later than the bookmark: that was the last freeze.
  invariant_holds fast
  equal "$(sql fast 'select count(*) from kept')" 10000
  equal "$(sql fast "select count(*) from pg_class where relname = 'lost'")" 0 "number of tables that are lost"
  at_least "$(sql fast 'select count(*) from pgbench_history')" "$(sql again 'select count(*) from pgbench_history')" \
    "history of the last freeze"
  velapg -q stop again
  velapg -q stop fast
  checksums_hold fast
}
check "after kill -9 of the daemon it is what it was last frozen as" crashed

thrown_away() {
  # shellcheck disable=SC2016
  velapg -q run main -- bash -c '
    velafs --json show "$VELAFS_BRANCH" | jq -e .ephemeral
    pgbench --no-vacuum --client 2 --time 1'
  velapg -q run --keep --name kept main -- true
  equal "$(field kept ephemeral)" false
}
check "so are the clones of velapg run, unless they are kept" thrown_away
