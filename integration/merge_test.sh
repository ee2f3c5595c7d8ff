#!/usr/bin/env bash
# Bookmarks of a busy branch come and go: the layers they leave are merged while the branch is written, which its
# server does not notice, and what nobody sees any more is given back.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

make_store 5
layers() { ls "$VELAFS_STORE/layers" | wc -l; }

load=
start_load() { # start_load SECONDS
  velapg -q start main
  on main pgbench -n -c 4 -T "$1" >"$VELAFS_SANDBOX/pgbench" 2>&1 &
  load=$!
}
written() { sql main 'select count(*) from pgbench_history'; }
has_written_past() { (($(written) > $1)); }
make_bookmarks() { # make_bookmarks PREFIX HOW-MANY: each of another state
  local i before
  for ((i = 1; i <= $2; ++i)); do
    before=$(written)
    velafs -q bookmark create "main@$1$i"
    wait_until 20 has_written_past "$before" || fail "the load writes nothing"
  done
}
delete_bookmarks() { # but the first, which a clone is to be made from, and the last
  local i
  for ((i = 2; i < $2; ++i)); do velafs -q bookmark delete "main@$1$i"; done
}

merged() {
  start_load 12
  make_bookmarks a 15
  at_least "$(layers)" 15 "the number of layers while there are 15 bookmarks"
  delete_bookmarks a 15
  velafs -q gc
  velafs clone main@a1 early
  wait "$load" || fail "pgbench failed: $(tail -n 3 "$VELAFS_SANDBOX/pgbench")"
  velafs -q gc
  at_least 6 "$(layers)" "6, as the most layers there should be,"
  invariant_holds main
}
check "layers are merged while a server writes" merged

sound() {
  velapg -q stop main
  as_postgres pg_checksums --check --pgdata "$mount_dir/main"
  velafs umount
  velafs mount
  velapg start main
  invariant_holds main
  sql main 'create extension amcheck'
  equal "$(sql main "select count(*) from pg_class c, lateral bt_index_check(c.oid) where relkind = 'i' and relam = 403" | tail -n 1)" \
    "$(sql main "select count(*) from pg_class where relkind = 'i' and relam = 403")" "indexes that are sound"
  velapg start early
  invariant_holds early
  velapg -q stop early
  velapg -q stop main
  velafs -q scrub
}
check "what was merged is sound, also after a remount" sound

has_fewer_layers_than() { (($(layers) < $1)); }
killed() {
  local pid before left
  start_load 60
  make_bookmarks b 20
  before=$(layers)
  pid=$(daemon_pid)
  delete_bookmarks b 20 &
  velafs -q gc 2>/dev/null &
  wait_until 20 has_fewer_layers_than "$before" || fail "nothing is merged"
  kill -KILL "$pid"
  wait_until 10 has_ended "$pid" || fail "the daemon does not end"
  wait || true
  left=$(layers)
  velafs mount
  velapg start main
  invariant_holds main
  delete_bookmarks b 20 2>/dev/null || true
  velafs -q gc
  at_least "$left" $(($(layers) + 1)) "the number of layers when the daemon died, and so was not done with them,"
  invariant_holds main
  velapg -q stop main
  as_postgres pg_checksums --check --pgdata "$mount_dir/main"
  velafs -q scrub
}
check "a daemon that dies while it merges loses nothing" killed
