#!/usr/bin/env bash
# What bookmarks have frozen becomes chunks while servers run on what stands on it: they do not notice, the store gets
# smaller, and every state is what it was.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

make_store 4

# Pages that have been written all over, in several layers, each kept by a bookmark.
make_history() {
  local i
  velapg -q start main
  for ((i = 1; i <= 4; ++i)); do
    sql main "update pgbench_accounts set filler = 'state $i' where aid % 7 = $i; checkpoint"
    velafs -q bookmark create "main@state$i"
  done
  velapg -q stop main
}
make_history

page_files() { # of frozen layers
  find "$VELAFS_STORE/layers" -name '[0-9]*' -type f | wc -l
}
state_of() { # state_of BOOKMARK: what a server finds in it
  velafs -q clone "$1" look
  velapg -q start look
  pgbench_checksum look
  velapg -q stop look
  checksums_hold look >&2
  velafs -q delete --purge look
}

sealed() {
  local before=() i files space json
  for i in 1 2 3 4; do before[i]=$(state_of "main@state$i"); done
  velapg -q start main
  on main pgbench -n -c 4 -T 8 >"$VELAFS_SANDBOX/pgbench" 2>&1 &
  local load=$!
  files=$(page_files)
  space=$(store_bytes)
  json=$(velafs --json seal)
  echo "$json; $files page files"
  equal "$(jq .layers_sealed <<<"$json")" 4 "layers sealed"
  at_most "$(page_files)" $((files / 3)) "page files left"
  wait "$load" || fail "pgbench failed: $(tail -n 3 "$VELAFS_SANDBOX/pgbench")"
  invariant_holds main
  velapg -q stop main
  checksums_hold main
  for i in 1 2 3 4; do equal "$(state_of "main@state$i")" "${before[i]}" "main@state$i"; done
  equal "$(velafs --json seal | jq .layers_sealed)" 0 "layers sealed when there are none"
  velafs -q scrub
  velafs umount
  velafs mount
  for i in 1 3; do equal "$(state_of "main@state$i")" "${before[i]}" "main@state$i, mounted anew,"; done
  echo "store: $space bytes before, $(store_bytes) after"
}
check "bookmarks are sealed under load, and each is what it was" sealed

shrunk() {
  local before after
  velafs -q gc
  before=$(store_bytes)
  velapg -q start main
  sql main "update pgbench_accounts set filler = 'grown'; checkpoint"
  velapg -q stop main
  velafs -q bookmark create main@grown
  after=$(store_bytes)
  at_least $((after - before)) $((40 << 20)) "what rewriting the table takes"
  velafs -q seal
  at_most $(($(store_bytes) - before)) $(((after - before) / 3)) "what it takes once sealed"
}
check "what is sealed takes a third of the space, or less" shrunk

merged() {
  local before
  before=$(state_of main@grown)
  velafs -q bookmark delete main@state2
  velafs -q bookmark delete main@state3
  velafs -q gc
  velafs -q seal
  equal "$(state_of main@grown)" "$before" "main@grown"
  velafs -q scrub
  velafs export main@grown --to-dir "$VELAFS_SANDBOX/exported" >/dev/null
  chown -R postgres "$VELAFS_SANDBOX/exported"
  as_postgres pg_checksums --check --pgdata "$VELAFS_SANDBOX/exported"
}
check "sealed layers are merged, sealed again and exported" merged

packs_bytes() { du --summarize --apparent-size --block-size=1 "$VELAFS_STORE/packs" | cut -f1; }
packs_have_grown_past() { (($(packs_bytes) > $1)); }
killed() {
  local pid before round packs
  velapg -q start main
  sql main "update pgbench_accounts set filler = 'killed' where aid % 2 = 0; checkpoint"
  velapg -q stop main
  velafs -q bookmark create main@killed
  before=$(state_of main@killed)
  for round in 1 2; do
    packs=$(packs_bytes)
    velafs -q seal 2>/dev/null &
    wait_until 20 packs_have_grown_past $((packs + round * 500000)) || fail "the sealing does not begin"
    pid=$(daemon_pid)
    kill -KILL "$pid"
    wait_until 10 has_ended "$pid" || fail "the daemon does not end"
    wait || true
    velafs mount
    equal "$(state_of main@killed)" "$before" "main@killed after kill $round"
  done
  at_least "$(velafs --json seal | jq .layers_sealed)" 1 "number of layers that were not sealed when the daemon died"
  equal "$(state_of main@killed)" "$before" "main@killed, sealed in the end,"
  velafs -q gc
  velafs -q scrub
}
check "a daemon that dies while it seals loses nothing" killed

by_itself() {
  local layers
  velafs policy set --of-store seal_after=1s >/dev/null
  velapg -q start main
  sql main "update pgbench_tellers set tbalance = tbalance"
  velapg -q stop main
  velafs -q bookmark create main@later
  layers=$(velafs --json show main | jq -r .path) # the daemon is there
  [[ -d $layers ]] || fail "no branch at $layers"
  all_sealed() { [[ -z $(find "$VELAFS_STORE/layers" -name '[0-9]*.map' -type f | head -n 1) ]]; }
  wait_until 90 all_sealed || fail "there are page files left: $(find "$VELAFS_STORE/layers" -type f)"
  refuses 2 'policy "seal_after"' velafs policy set --of-store seal_after=soon
  velafs policy set --of-store seal_after=never >/dev/null
}
check "the daemon seals by itself, in time" by_itself
