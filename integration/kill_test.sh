#!/usr/bin/env bash
# kill -9 of the daemon, of commands and of PostgreSQL, at random moments: what was done is there afterwards, and
# nothing else. VELAFS_KILLS says how many times each thing is killed, VELAFS_SEED from what number the
# moments come.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"
kills=${VELAFS_KILLS:-2}
seed=${VELAFS_SEED:-$((EPOCHSECONDS % 100000))}
echo "  VELAFS_SEED=$seed"
RANDOM=$seed

make_store 1
velafs -q clone main one

wait_at_random() { # wait_at_random MS: less than that
  sleep "$(printf '0.%03d' $((RANDOM % ($1 < 1000 ? $1 : 1000))))"
}

kill_daemon() {
  local daemon
  daemon=$(daemon_pid)
  kill -KILL "$daemon"
  wait_until 10 has_ended "$daemon" || fail "the daemon does not end"
}

# ---- Under PostgreSQL ------------------------------------------------------------------------------

# Every transaction that was reported as committed must be there afterwards.
log_commits() {
  local i
  for ((i = 1; ; ++i)); do
    psql -qXAtv ON_ERROR_STOP=1 -c "insert into commits values ($i) returning i" || return 0
  done
}

servers_are_gone() {
  ! grep -lxs postgres /proc/[0-9]*/comm
}

start_load() {
  velapg -q start one
  sql one 'create table if not exists commits (i int); truncate commits'
  on one pgbench --no-vacuum --client 4 --jobs 2 --time 60 >"$VELAFS_SANDBOX/pgbench.log" 2>&1 &
  load=($!)
  on one log_commits >"$VELAFS_SANDBOX/acknowledged" 2>/dev/null &
  load+=($!)
  wait_until 20 grep -qx 10 "$VELAFS_SANDBOX/acknowledged" || fail "the load does not begin"
  wait_at_random 1000
}

commits_are_there() {
  local acknowledged
  wait "${load[@]}" || true
  acknowledged=$(tail -n 1 "$VELAFS_SANDBOX/acknowledged")
  velapg -q start one
  invariant_holds one
  at_least "$(sql one 'select count(*) from commits')" "$acknowledged" "number of commits (acknowledged: $acknowledged)"
  velapg -q stop one
  checksums_hold one
  wait_until 10 servers_are_gone || fail "there is a server left"
}

daemon_killed() {
  start_load
  kill_daemon
  velafs -q mount
  commits_are_there
}

postmaster_killed() {
  start_load
  kill -KILL "$(velapg --json status one | jq .pid)"
  commits_are_there
}

# The server recovers by itself, or has not noticed yet.
backend_killed() {
  start_load
  kill -KILL "$(sql one "select pid from pg_stat_activity where application_name = 'pgbench' limit 1")"
  wait "${load[@]}" || true
  wait_until 20 sql one 'select 1' || fail "the server does not recover"
  velapg -q stop one
  commits_are_there
}

for ((i = 1; i <= kills; ++i)); do
  check "kill -9 of the daemon under PostgreSQL, number $i: every commit is there" daemon_killed
  check "kill -9 of the postmaster, number $i: every commit is there" postmaster_killed
  check "kill -9 of a backend, number $i: every commit is there" backend_killed
done

parent_untouched() {
  velapg start main
  equal "$(sql main 'select count(*) from pgbench_history')" 0
  velapg stop main
  checksums_hold main
}
check "the parent is as it was" parent_untouched

# ---- Under a load of files -------------------------------------------------------------------------

# Each writer goes round the 40 pages of a file, inherited or of its own, and makes files. What it has synced it tells.
write_files() { # write_files WRITER
  local n file=$mount_dir/one/files/$1
  for ((n = 1; ; ++n)); do
    printf '%8192d' "$n" | dd of="$file" bs=8192 seek=$((n % 40)) conv=notrunc,fsync iflag=fullblock status=none || return 0
    echo "page $n"
    printf '%d' "$n" | dd of="$file-$n" conv=fsync status=none || return 0
    ((n < 4)) || rm "$file-$((n - 3))" || return 0
    echo "file $n"
  done
} 2>/dev/null

page() { # page FILE NUMBER
  dd if="$1" bs=8192 skip="$2" count=1 status=none | tr -d ' '
}

files_are_there() { # files_are_there WRITER
  local what n seen=' ' file=$mount_dir/one/files/$1 last
  last=$(awk '$1 == "file" { n = $2 } END { print n + 0 }' "$VELAFS_SANDBOX/wrote-$1")
  echo "writer $1: $last rounds"
  while read -r what n; do
    if [[ $what == page && $seen != *" $((n % 40)) "* ]]; then
      seen+="$((n % 40)) "
      at_least "$(page "$file" $((n % 40)))" "$n" "page $((n % 40)) of $file"
    elif [[ $what == file && n -gt $((last - 2)) ]]; then
      equal "$(cat "$file-$n")" "$n" "content of $file-$n"
    elif [[ $what == file && n -lt $((last - 3)) ]]; then
      [[ ! -e $file-$n ]] || fail "$file-$n is there again"
    fi
  done < <(tac "$VELAFS_SANDBOX/wrote-$1")
}

files_killed() {
  local writer writers=()
  mkdir -p "$mount_dir/one/files"
  for writer in a b c; do head -c 327680 /dev/zero >"$mount_dir/one/files/$writer"; done
  velafs -q bookmark create "one@files-$1" # so that their pages are inherited
  for writer in a b c; do
    write_files "$writer" >"$VELAFS_SANDBOX/wrote-$writer" &
    writers+=($!)
  done
  wait_until 20 grep -qx 'file 5' "$VELAFS_SANDBOX/wrote-a" || fail "the load does not begin"
  wait_at_random 1000
  kill_daemon
  wait "${writers[@]}" || true
  velafs -q mount
  for writer in a b c; do files_are_there "$writer"; done
  rm -r "$mount_dir/one/files"
  velafs -q bookmark delete "one@files-$1"
}
for ((i = 1; i <= kills; ++i)); do
  check "kill -9 of the daemon under writers of files, number $i: all that was synced is there" files_killed "$i"
done

# ---- Under the verbs -------------------------------------------------------------------------------

# Each as NAME;DO;UNDO, on a store with branches one and old, and bookmark one@old.
verbs=(
  "clone;velafs clone one made;velafs delete --purge made"
  "clone of a bookmark;velafs clone one@old made;velafs delete --purge made"
  "bookmark create;velafs bookmark create one@made;velafs bookmark delete one@made"
  "bookmark delete;velafs bookmark delete one@old;velafs bookmark create one@old"
  "delete;velafs delete old;velafs undelete old"
  "delete --purge;velafs delete --purge old;velafs clone one old"
  "rename;velafs rename old new;velafs rename new old"
  "reset;velafs reset old --to main --no-bookmark;velafs reset old --to one --no-bookmark"
  "import;velafs import made --from-dir $VELAFS_SANDBOX/small;remove_source made"
)
install -d -o postgres -m 700 "$VELAFS_SANDBOX/small"
cp -a "$VELAFS_SANDBOX/cluster/." "$VELAFS_SANDBOX/small"
rm -r "$VELAFS_SANDBOX/small"/base/[45]
openssl rand 3000000 >"$VELAFS_SANDBOX/small/base/1/999999"
chown postgres "$VELAFS_SANDBOX/small/base/1/999999"

remove_source() {
  velafs unprotect "$1"
  velafs delete --purge "$1"
}

# All that the verbs change, and a user sees.
sight() {
  velafs --json list | jq -c '.branches[] | [.name, .parent, .parent_bookmark]'
  velafs --json bookmark list | jq -c '.bookmarks[].name'
  velafs --json list --trash | jq -c '.branches[].name'
  velafs --json diff main old 2>/dev/null | jq -c '.files | length > 0' || true
}

layers_and_packs_bytes() {
  # A layer may go while it is looked at.
  { du --summarize --block-size=1 "$VELAFS_STORE/layers" "$VELAFS_STORE/packs" 2>/dev/null || true; } | awk '{ sum += $1 } END { print sum }'
}
has_at_most() { (($(layers_and_packs_bytes) <= $1)); }

remount() {
  # Unlike names and attributes, this is never answered from the kernel's caches.
  is_mount "$mount_dir" && stat --file-system "$mount_dir" >/dev/null 2>&1 || velafs -q mount
}

# Each of `kills` times, at a random moment of the verb: what there is afterwards is what there was before, or what the
# verb makes of it; the latter if the verb says so.
verb_killed() { # verb_killed daemon|client|command DO UNDO
  local victim=$1 do=$2 undo=$3 before after took i verb status now bytes
  if [[ $victim == command ]]; then ! is_mount "$mount_dir" || velafs -q umount; else remount; fi
  before=$(sight)
  took=$(now_ms)
  $do
  took=$(($(now_ms) - took))
  after=$(sight)
  [[ $after != "$before" ]] || fail "nothing shows that it is done"
  $undo
  bytes=$(layers_and_packs_bytes)
  for ((i = 0; i < kills; ++i)); do
    if [[ $victim != command ]]; then echo "$i" >"$mount_dir/one/change"; fi
    $do &
    verb=$!
    wait_at_random $((took + 10))
    if [[ $victim == daemon ]]; then kill_daemon; else kill -KILL "$verb" 2>/dev/null || true; fi
    status=0
    wait "$verb" || status=$?
    [[ $victim == command ]] || remount
    [[ $victim != client ]] || settle
    ((status == 0)) || echo "$do" >>"$VELAFS_SANDBOX/cut_off"
    now=$(sight)
    echo "killed $i: status $status, $([[ $now == "$before" ]] && echo "not done" || echo "done")"
    [[ $now == "$after" || ($now == "$before" && $status != 0) ]] ||
      fail "with status $status there is: $now"$'\n'"not: $after"
    [[ $now == "$before" ]] || $undo
    equal "$(sight)" "$before" "what there is after it was undone"
  done
  # While the daemon merges layers some pages are there twice.
  wait_until 30 has_at_most $((bytes + 200000)) ||
    fail "bytes in layers/ and packs/ are $(layers_and_packs_bytes), more than $((bytes + 200000))"
}
# A daemon goes on with what its client has asked for: waits until one verb more has passed, and nothing moves.
settle() {
  velafs -q bookmark create main@settled
  velafs -q bookmark delete main@settled
  wait_until 10 is_settled || fail "the daemon does not come to rest"
}
is_settled() {
  local now
  now=$(sight)
  sleep 0.1
  [[ $now == "$(sight)" ]]
}

velafs -q clone one old
velafs -q bookmark create one@old
for verb in "${verbs[@]}"; do
  IFS=';' read -r name act undo <<<"$verb"
  check "kill -9 of the daemon in $name: it is done, or not begun" verb_killed daemon "$act" "$undo"
  check "kill -9 of the client in $name: it is done, or not begun" verb_killed client "$act" "$undo"
done
for verb in "${verbs[@]}"; do
  IFS=';' read -r name act undo <<<"$verb"
  check "kill -9 of $name without a daemon: it is done, or not begun" verb_killed command "$act" "$undo"
done
some_cut_off() {
  at_least "$(wc -l <"$VELAFS_SANDBOX/cut_off")" $((kills * ${#verbs[@]} / 4)) "number of verbs that were cut off"
}
check "of the kills, enough came before their verb had ended" some_cut_off
remount
velafs -q delete --purge old
velafs -q bookmark delete one@old

# ---- Under an import -------------------------------------------------------------------------------

# Something to import that takes a while and shares no chunk with what is stored.
install -d -o postgres -m 700 "$VELAFS_SANDBOX/big"
cp -a "$VELAFS_SANDBOX/cluster/." "$VELAFS_SANDBOX/big"
openssl rand 600000000 >"$VELAFS_SANDBOX/big/base/1/999999"
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
