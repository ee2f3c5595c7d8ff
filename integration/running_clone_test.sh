#!/usr/bin/env bash
# A clone of a branch under full load is what a power cut would have left: it recovers, and no
# transaction is half there. VELAFS_CLONES says how many are taken, one after another.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"
clones=${VELAFS_CLONES:-8}

make_store 10
velapg -q start main
# Checkpoints come and go while clones are taken, and no recovery is long.
sql main "alter system set checkpoint_timeout = '30s'"
sql main 'select pg_reload_conf()' >/dev/null
on main pgbench --no-vacuum --client 8 --jobs 2 --time 100000 >"$VELAFS_SANDBOX/pgbench.log" 2>&1 &
load=$!

history_rows() {
  sql "$1" 'select count(*) from pgbench_history'
}
has_more_rows_than() {
  (($(history_rows main) > $1))
}
wait_until 20 has_more_rows_than 100

# A clone holds what was committed before the command began, and nothing from after its end.
clone_is_whole() {
  local before after rows
  before=$(history_rows main)
  velafs clone main "$1"
  after=$(history_rows main)
  velapg start "$1"
  invariant_holds "$1"
  rows=$(history_rows "$1")
  at_least "$rows" "$before" "the number of transactions in the clone"
  at_most "$rows" $((after + 8)) "the number of transactions in the clone"
  velapg stop "$1"
  checksums_hold "$1"
  velafs delete "$1"
}
for ((i = 1; i <= clones; ++i)); do
  check "clone $i of a branch under load recovers whole" clone_is_whole "clone-$i"
done

load_goes_on() {
  ! has_ended "$load" || fail "pgbench has ended"
  wait_until 20 has_more_rows_than "$(history_rows main)"
}
check "the load runs on through all of it" load_goes_on

kill -INT "$load" 2>/dev/null || true
kill -TERM "$load" 2>/dev/null || true
wait "$load" || true
parent_is_whole() {
  invariant_holds main
  velapg stop main
  checksums_hold main
}
check "the branch itself is whole" parent_is_whole
