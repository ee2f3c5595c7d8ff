#!/usr/bin/env bash
# kill -9 of the daemon, and of an import: what was done is there afterwards, and nothing else.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"
kills=${VELAFS_KILLS:-3}

make_store 5
velafs -q clone main one

# Every transaction that was reported as committed must be there afterwards.
log_commits() {
  local i
  for ((i = 1; ; ++i)); do
    psql -qXAtv ON_ERROR_STOP=1 -c "insert into commits values ($i) returning i" || return 0
  done
}

daemon_killed() {
  local server daemon load commits acknowledged
  velapg --json start one >"$VELAFS_SANDBOX/start.json"
  server=$(jq .pid "$VELAFS_SANDBOX/start.json")
  sql one 'create table if not exists commits (i int); truncate commits'
  on one pgbench --no-vacuum --client 8 --jobs 2 --time 60 >"$VELAFS_SANDBOX/pgbench.log" 2>&1 &
  load=$!
  on one log_commits >"$VELAFS_SANDBOX/acknowledged" 2>/dev/null &
  commits=$!
  wait_until 20 grep -qx 100 "$VELAFS_SANDBOX/acknowledged"

  daemon=$(daemon_pid)
  kill -KILL "$daemon"
  wait_until 10 has_ended "$daemon"
  wait "$load" "$commits" || true
  acknowledged=$(tail -n 1 "$VELAFS_SANDBOX/acknowledged")

  velafs mount
  velapg start one
  invariant_holds one
  at_least "$(sql one 'select count(*) from commits')" "$acknowledged" "number of commits (acknowledged: $acknowledged)"
  velapg stop one
  checksums_hold one

  # A server that lost its files may sit there without them; it was started here, and ends here.
  has_ended "$server" || kill -KILL "$server"
  wait_until 10 servers_are_gone
}
servers_are_gone() {
  local comm
  for comm in /proc/[0-9]*/comm; do
    [[ $(cat "$comm" 2>/dev/null) != postgres ]] || return 1
  done
}
for ((i = 1; i <= kills; ++i)); do
  check "kill -9 of the daemon under load, number $i: every commit is there" daemon_killed
done

parent_untouched() {
  velapg start main
  equal "$(sql main 'select count(*) from pgbench_history')" 0
  velapg stop main
  checksums_hold main
}
check "the parent is as it was" parent_untouched

# Something to import that takes a while and shares no chunk with what is stored.
install -d -o postgres -m 700 "$VELAFS_SANDBOX/big"
cp -a "$VELAFS_SANDBOX/cluster/." "$VELAFS_SANDBOX/big"
openssl rand 400000000 >"$VELAFS_SANDBOX/big/base/1/999999"
chown postgres "$VELAFS_SANDBOX/big/base/1/999999"

packs_bytes() {
  du --summarize --block-size=1 "$VELAFS_STORE/packs" | cut -f1
}
packs_grow_past() {
  (($(packs_bytes) > $1))
}

import_stopped() { # import_stopped SIGNAL [umount]
  local before import status=0
  [[ -z ${2:-} ]] || velafs umount
  before=$(packs_bytes)
  env --default-signal velafs import big --from-dir "$VELAFS_SANDBOX/big" 2>"$VELAFS_SANDBOX/err" &
  import=$!
  wait_until 20 packs_grow_past $((before + 20000000)) || fail "the import does not begin"
  kill "-$1" "$import"
  wait "$import" || status=$?
  cat "$VELAFS_SANDBOX/err"
  ((status != 0)) || fail "the import was done before it was stopped"
  velafs --json list | jq -e '[.branches[].name] == ["main", "one"]' || fail "there is a branch of it"
  wait_until 10 packs_are_back "$before" || fail "packs hold $(packs_bytes) bytes, $before before"
  is_mount "$mount_dir" || velafs mount
  equal "$(find "$mount_dir" -mindepth 1 -maxdepth 1 | wc -l)" 2 "number of directories under the mount"
}
packs_are_back() {
  (($(packs_bytes) <= $1 + 100000))
}
check "ctrl-C of an import through the daemon leaves no branch and no bytes" import_stopped INT
check "kill -9 of an import through the daemon leaves no branch and no bytes" import_stopped KILL
check "ctrl-C of an import without a daemon leaves no branch and no bytes" import_stopped INT umount
check "kill -9 of an import without a daemon leaves no branch and no bytes" import_stopped KILL umount

daemon_killed_importing() {
  local before import daemon
  before=$(packs_bytes)
  velafs import big --from-dir "$VELAFS_SANDBOX/big" 2>/dev/null &
  import=$!
  wait_until 20 packs_grow_past $((before + 20000000)) || fail "the import does not begin"
  daemon=$(daemon_pid)
  kill -KILL "$daemon"
  wait_until 10 has_ended "$daemon"
  ! wait "$import" || fail "the import claims to be done"
  velafs mount
  velafs --json list | jq -e '[.branches[].name] == ["main", "one"]' || fail "there is a branch of it"
  packs_are_back "$before" || fail "packs hold $(packs_bytes) bytes, $before before"
}
check "kill -9 of the daemon during an import leaves no branch and no bytes" daemon_killed_importing
