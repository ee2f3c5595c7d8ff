#!/usr/bin/env bash
# Started clones for tests: velapg run --parallel, and pools. VELAFS_TAKERS (20) sets how many want a clone
# at once.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"
takers=${VELAFS_TAKERS:-20}

make_store 1
out=$VELAFS_SANDBOX/out

processes() { # processes NAME: their pids
  local comm
  for comm in /proc/[0-9]*/comm; do
    [[ $(cat "$comm" 2>/dev/null) != "$1" ]] || basename "${comm%/comm}"
  done
}
is_clean() { # main's own, run/1, may be there
  [[ -z $(processes postgres)$(processes velapg) && ! -e $VELAFS_STORE/run/pools &&
    $(velafs --json list | jq -c '[.branches[].name]') == '["main"]' &&
    $(velafs --json bookmark list | jq '.bookmarks | length') == 0 &&
    $(velafs --json stats | jq .trashed) == 0 && -z $(find "$VELAFS_STORE/run" -mindepth 1 -type d ! -name 1) ]]
}
nothing_left() {
  wait_until 30 is_clean && return
  velafs list
  velafs bookmark list
  ls -R "$VELAFS_STORE/run"
  ps -ef
  fail "something is left"
}

# ---- run --parallel --------------------------------------------------------------------------------

# Each writes, waits until all have written, and then reads.
isolated_workers() {
  mkdir "$VELAFS_SANDBOX/barrier"
  # shellcheck disable=SC2016
  velapg run --parallel 4 main -- bash -ec '
    psql -qXc "update pgbench_accounts set abalance = $VELAFS_WORKER where aid = 1"
    psql -qXc "create table only_$VELAFS_WORKER ()"
    touch "$1/$VELAFS_WORKER"
    while (($(ls "$1" | wc -l) < VELAFS_WORKERS)); do sleep 0.05; done
    [[ $(psql -qXAtc "select abalance from pgbench_accounts where aid = 1" "$DATABASE_URL") == "$VELAFS_WORKER" ]]
    psql -qXAtc "select relname, current_setting(\$\$port\$\$) from pg_class where relname ~ \$\$^only_\$\$"
    [[ $(psql -qXAtc "show port") == "$PGPORT" ]]' bash "$VELAFS_SANDBOX/barrier" | tee "$out"
  equal "$(sed 's/|.*//' "$out" | sort)" $'[0] only_0\n[1] only_1\n[2] only_2\n[3] only_3' "the tables"
  equal "$(sed 's/.*|//' "$out" | sort -u | wc -l)" 4 "the number of ports"
  nothing_left
}
check "four workers have a server each, and see nothing of one another" isolated_workers

same_state() {
  velapg -q start main
  on main pgbench --no-vacuum --client 4 --time 60 >/dev/null 2>&1 &
  local load=$!
  wait_until 20 has_history main
  velapg run --parallel 3 --no-prefix main -- psql -qXAtc \
    "select count(*), sum(delta), (select sum(abalance) from pgbench_accounts) from pgbench_history" >"$out"
  kill "$load" || true
  wait "$load" || true
  cat "$out"
  equal "$(wc -l <"$out")" 3 "lines"
  equal "$(sort -u "$out" | wc -l)" 1 "the number of states"
  velapg -q stop main
  nothing_left
}
has_history() { (($(sql "$1" "select count(*) from pgbench_history") > 100)); }
check "workers on a busy source all see the same state of it" same_state

whole_lines() {
  # shellcheck disable=SC2016
  velapg run --parallel 3 --no-prefix main -- bash -c '
    for i in {1..300}; do printf "%s" "$VELAFS_WORKER"; printf "%0100d" "$i"; printf "%s\n" "$VELAFS_WORKER"; done
    echo "to stderr" >&2
    printf "no end"' >"$out" 2>"$out.err"
  equal "$(grep -cxE '([0-2])0*([0-9]{1,3})\1' "$out")" 900 "whole lines"
  equal "$(grep -cx 'no end' "$out")" 3 "lines without end"
  equal "$(wc -l <"$out")" 903 "all lines"
  equal "$(grep -cx 'to stderr' "$out.err")" 3 "lines on stderr"
}
check "lines of workers are never mixed up" whole_lines

worker_fails() {
  local status=0
  rm -rf "$VELAFS_SANDBOX/barrier"
  mkdir "$VELAFS_SANDBOX/barrier"
  # Worker 2 fails first; worker 0 goes on, and fails later; worker 1 succeeds.
  # shellcheck disable=SC2016
  velapg run --parallel 3 main -- bash -c '
    ((VELAFS_WORKER != 2)) || exit 42
    until [[ $(velafs --json list | jq "[.branches[].name | select(endswith(\"-2\"))] | length") == 0 ]]; do
      sleep 0.1
    done
    touch "$1/$VELAFS_WORKER"
    exit $((VELAFS_WORKER == 0 ? 7 : 0))' bash "$VELAFS_SANDBOX/barrier" || status=$?
  equal "$status" 42 "exit status"
  equal "$(find "$VELAFS_SANDBOX/barrier" -type f -printf '%f\n' | sort | tr '\n' ' ')" "0 1 " "those that went on"
  nothing_left
}
check "the exit status is that of the worker that failed first; the others go on" worker_fails

check "a port for several servers is refused" \
  refuses 2 'do not go together' velapg run --parallel 2 --port 5499 main -- true
unknown_source() {
  local status=0
  velapg run --parallel 2 nobody -- true 2>"$out" || status=$?
  equal "$status" 3 "exit status"
  has_line 'there is no branch "nobody"' <"$out"
}
check "workers on an unknown source are refused" unknown_source

# Starts workers that say their pids and wait to be killed.
start_waiting() {
  rm -f "$VELAFS_SANDBOX"/waits.*
  # shellcheck disable=SC2016
  env --default-signal setsid velapg run --parallel 3 main -- \
    bash -c 'echo $$ >"$1.new.$VELAFS_WORKER" && mv "$1.new.$VELAFS_WORKER" "$1.$VELAFS_WORKER"; exec sleep 1000' \
    bash "$VELAFS_SANDBOX/waits" 2>/dev/null &
  run_pid=$!
  wait_until 60 all_wait
}
all_wait() { [[ -e $VELAFS_SANDBOX/waits.0 && -e $VELAFS_SANDBOX/waits.1 && -e $VELAFS_SANDBOX/waits.2 ]]; }
all_ended() {
  local file
  for file in "$VELAFS_SANDBOX"/waits.?; do
    wait_until 10 has_ended "$(cat "$file")" || fail "worker ${file##*.} is left"
  done
}
signalled() { # signalled STATUS KILL-ARGUMENT...
  local expected=$1 status=0
  shift
  start_waiting
  kill "${@//PID/$run_pid}"
  wait "$run_pid" || status=$?
  equal "$status" "$expected" "exit status"
  all_ended
  nothing_left
}
check "ctrl-C ends all workers and leaves nothing" signalled 130 -INT -- -PID
check "SIGTERM to velapg ends all workers and leaves nothing" signalled 143 -TERM PID
check "kill -9 of velapg ends all workers and leaves nothing" signalled 137 -KILL PID

killed_early() { # killed_early CONDITION
  env --default-signal setsid velapg run --parallel 3 main -- sleep 1000 2>/dev/null &
  run_pid=$!
  wait_until 30 "$1"
  kill -KILL "$run_pid"
  wait "$run_pid" 2>/dev/null || true
  nothing_left
}
a_branch_more() { [[ $(velafs --json list | jq '.branches | length') != 1 ]]; }
a_server() { [[ $(processes postgres) ]]; }
check "kill -9 of velapg while it clones leaves nothing" killed_early a_branch_more
check "kill -9 of velapg while servers start leaves nothing" killed_early a_server

# ---- Pools -----------------------------------------------------------------------------------------

counts() { # counts POOL: "READY FILLING TAKEN RELEASED"
  velapg --json pool list |
    jq -r --arg pool "$1" '.pools[] | select(.pool == $pool) | "\(.ready) \(.filling) \(.taken) \(.released)"'
}
has_counts() { [[ $(counts "$1") == "$2" ]]; }
becomes() { # becomes POOL COUNTS
  wait_until 60 has_counts "$1" "$2" || fail "pool $1 is $(counts "$1"), not $2"
}
answers() { # answers URL QUERY
  psql -qXAtc "$2" "$1"
}
layer_count() { find "$VELAFS_STORE/layers" -mindepth 1 -maxdepth 1 | wc -l; }

layers_before=$(layer_count)

made() {
  velapg pool main --size 3
  equal "$(counts main)" "3 0 0 0" "the pool"
  velapg --json pool list | jq -e '.pools == [.pools[0]] and .pools[0].source == "main" and .pools[0].size == 3'
  velapg pool list | has_line -E '^main +main +3 +3 +0$'
}
check "a pool is made and full" made

taken() {
  local document name
  document=$(velapg --json take main)
  name=$(jq -r .branch <<<"$document")
  equal "$(field "$name" labels.pool)" main "label pool"
  equal "$(field "$name" 'labels["pool-state"]')" taken "label pool-state"
  equal "$(answers "$(jq -r .url <<<"$document")" 'show port')" "$(jq -r .port <<<"$document")"
  equal "$(answers "$(velapg take main --url)" 'select count(*) from pgbench_accounts')" 100000
  (
    eval "$(velapg take main --env)"
    equal "$(psql -qXAtc 'show cluster_name')" "$VELAFS_BRANCH"
  )
  velapg take main | has_line '^postgresql://'
  becomes main "3 0 4 0"
}
check "what is taken answers, in every form, and the pool fills up again" taken

taken_in_ms() {
  local start samples=()
  for _ in {1..7}; do
    becomes main "3 0 $(($(counts main | cut -d' ' -f3))) 0"
    start=${EPOCHREALTIME/[.,]/}
    [[ $(answers "$(velapg take main --url)" 'select 1') == 1 ]]
    samples+=($(((${EPOCHREALTIME/[.,]/} - start) / 1000)))
  done
  mapfile -t samples < <(printf '%s\n' "${samples[@]}" | sort -n)
  echo "${samples[3]} ${samples[0]}" >"$VELAFS_SANDBOX/take_ms"
  at_most "${samples[3]}" 5000 "milliseconds from velapg take to psql's answer"
}
check "a clone is there in milliseconds" taken_in_ms
read -r median best <"$VELAFS_SANDBOX/take_ms" &&
  echo "        velapg take and psql's first answer: median $median ms, best $best ms"

released() {
  local name
  for name in $(velapg --json pool list | jq -r '.pools[0].clones[] | select(.state == "taken").branch'); do
    velapg release "$name"
  done
  becomes main "3 0 0 0"
}
check "what is released goes" released

check "a taker of no pool is told how to make one" refuses 3 'no pool "nobody"' velapg take nobody
check "a branch of no pool is not released" refuses 4 'does not belong to a pool' velapg release main
not_taken() {
  refuses 4 'is not taken' velapg release \
    "$(velapg --json pool list | jq -r '.pools[0].clones[] | select(.state == "ready").branch' | head -n 1)"
}
check "a clone that nobody has taken is not released" not_taken

old_and_new_state() {
  velapg -q start main
  sql main "create table later ()"
  equal "$(answers "$(velapg take main --url)" "select to_regclass('later')")" "" "in a clone of before"
  becomes main "3 0 1 0"
  equal "$(answers "$(velapg take main --url)" "select to_regclass('later')")" "" "in a clone made since"
  velapg pool refresh main
  equal "$(answers "$(velapg take main --url)" "select to_regclass('later')")" later "after a refresh"
  equal "$(velafs --json bookmark list | jq '.bookmarks | length')" 1 "bookmarks"
  velapg -q stop main
  becomes main "3 0 3 0"
}
check "all clones have one state, until the pool is refreshed" old_and_new_state

never_dead() {
  local name pid
  for name in $(velapg --json pool list | jq -r '.pools[0].clones[] | select(.state == "ready").branch' | head -n 2); do
    pid=$(velapg --json status "$name" | jq .pid)
    kill -KILL "$pid"
    wait_until 10 has_ended "$pid" || fail "the server on $name has not ended"
  done
  for _ in 1 2 3; do answers "$(velapg take main --url)" 'select 1'; done
  becomes main "3 0 6 0"
}
check "a clone whose server has died is not handed out, but mended" never_dead

resized() {
  velapg pool main --size 1
  equal "$(counts main)" "1 0 6 0" "the pool"
  velapg pool main --size 2
  equal "$(counts main)" "2 0 6 0" "the pool"
  refuses 4 'is of "main"' velapg pool other --name main --size 2
}
check "a pool that is there is changed, and keeps its clones" resized

after_mount() {
  kill -KILL "$(daemon_pid)"
  wait_until 30 velafs -q mount
  answers "$(velapg take main --url)" 'select 1'
  becomes main "2 0 7 0"
}
check "after the daemon's end a pool comes up again" after_mount

stopped() {
  velapg pool stop main
  equal "$(velafs --json list | jq '[.branches[] | select(.labels.pool == "main")] | length')" 7 "taken ones left"
  refuses 3 'no pool "main"' velapg take main
  local name
  name=$(velafs --json list | jq -r '[.branches[] | select(.labels.pool == "main").name][0]')
  velapg release "$name"
  wait_until 30 is_gone "$name"
  velapg pool stop main --all
  nothing_left
}
is_gone() { ! velafs show "$1" >/dev/null 2>&1; }
check "a stopped pool leaves what is taken; with --all, nothing" stopped

nothing_of_it() {
  # What was written to main before each of its two freezes is a layer of its own.
  at_most "$(layer_count)" $((layers_before + 2)) "layers"
}
check "no layer of a pool is left" nothing_of_it

from_bookmark() {
  velafs -q bookmark create main@golden
  velapg -q pool main@golden --size 1
  velapg -q pool main --size 1 --name first
  answers "$(velapg take main@golden --url)" 'select 1'
  answers "$(velapg take main --url)" 'select 1'
  velapg -q pool main --size 1 --name second
  refuses 4 'several pools' velapg take main
  velapg -q pool main --size 1
  equal "$(velapg --json take main | jq -r .pool)" main "the pool"
  local pool
  for pool in main first second main@golden; do velapg -q pool stop "$pool" --all; done
  velafs -q bookmark delete main@golden
  nothing_left
}
check "pools of a bookmark, and several of one source" from_bookmark

# Each taker keeps what it took; nobody gets another's.
many_takers() {
  velapg -q pool main --size 8
  local pids=() pid i
  for ((i = 0; i < takers; ++i)); do
    velapg --json take main --wait 5m >"$out.$i" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || fail "a taker got nothing"; done
  equal "$(cat "$out".* | jq -r .branch | sort -u | wc -l)" "$takers" "different clones"
  for ((i = 0; i < takers; ++i)); do
    equal "$(answers "$(jq -r .url "$out.$i")" 'show cluster_name')" "$(jq -r .branch "$out.$i")"
  done
  for ((i = 0; i < takers; ++i)); do velapg -q release "$(jq -r .branch "$out.$i")"; done
  becomes main "8 0 0 0"
  velapg -q pool stop main
  nothing_left
}
check "of $takers takers at once, each gets a clone of its own from a pool of 8" many_takers

# Server programs that wait while there is a file `hold`.
held_bin=$VELAFS_SANDBOX/held_bin
mkdir "$held_bin"
ln -s "$pg_bin"/* "$held_bin/"
rm "$held_bin/postgres"
printf '#!/bin/sh\nwhile [ -e "%s" ]; do sleep 0.05; done\nexec "%s" "$@"\n' \
  "$VELAFS_SANDBOX/hold" "$pg_bin/postgres" >"$held_bin/postgres"
chmod +x "$held_bin/postgres"

# Takes the only clone, and holds the process that makes the next one.
begin_fill() {
  velapg -q pool main --size 1 --pgbin "$held_bin"
  touch "$VELAFS_SANDBOX/hold"
  velapg take main >/dev/null
  wait_until 20 fill_is_at_work
  fill_pid=$(cat "$VELAFS_SANDBOX/fill_pid")
}
fill_is_at_work() {
  local pid
  for pid in $(processes velapg); do
    if [[ $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null) == *" pool fill "* ]] && has_counts main "0 1 1 0"; then
      echo "$pid" >"$VELAFS_SANDBOX/fill_pid"
      return 0
    fi
  done
  return 1
}

no_wait() {
  begin_fill
  refuses 1 'no ready clone' velapg take main --wait 0
  refuses 1 'no ready clone' velapg take main --wait 1s
  rm "$VELAFS_SANDBOX/hold"
  velapg -q pool stop main --all
  nothing_left
}
check "who does not wait is told that none is ready" no_wait

killed_fill() {
  begin_fill
  kill -KILL "$fill_pid"
  rm "$VELAFS_SANDBOX/hold"
  answers "$(velapg take main --url)" 'select 1'
  becomes main "1 0 2 0"
  velapg -q pool stop main --all
  nothing_left
}
check "kill -9 of what fills a pool is made good by the next taker" killed_fill

killed_pool() {
  local i pid name
  for i in 1 2 3; do
    velapg pool main --size 4 >/dev/null 2>&1 &
    pid=$!
    wait_until 30 has_ready "$i"
    kill -KILL "$pid" 2>/dev/null || true # it may have ended
    wait "$pid" 2>/dev/null || true
  done
  name=$(velapg --json pool list | jq -r '[.pools[0].clones[] | select(.state == "ready").branch][0]')
  velapg pool main --size 4
  equal "$(counts main)" "4 0 0 0" "the pool"
  velapg --json pool list | jq -e --arg name "$name" '[.pools[0].clones[].branch] | index($name) != null' ||
    fail "the clone that was ready was not adopted"
  velapg pool stop main >/dev/null &
  pid=$!
  wait_until 30 has_fewer_branches 5
  kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  [[ ! -e $VELAFS_STORE/run/pools/main ]] || velapg pool stop main
  nothing_left
}
has_ready() { [[ $(counts main) =~ ^([0-9]+) ]] && ((BASH_REMATCH[1] >= $1)); }
has_fewer_branches() { (($(velafs --json list | jq '.branches | length') < $1)); }
check "kill -9 of velapg pool at any moment is made good by the next one" killed_pool

lost_files() {
  velapg -q pool main --size 2
  velapg take main >/dev/null
  becomes main "2 0 1 0"
  rm -r "$VELAFS_STORE/run/pools"
  velapg pool list | has_line '^main'
  velapg pool stop main --all
  nothing_left
}
check "a pool whose files are lost is known by its clones' labels" lost_files

broken_source() {
  velafs clone main broken
  rm "$mount_dir"/broken/pg_wal/0*
  local status=0
  velapg pool broken --size 2 2>"$out" || status=$?
  equal "$status" 1 "exit status"
  grep -q 'checkpoint record' "$out" || fail "the server's last words are not told: $(cat "$out")"
  equal "$(counts broken)" "0 0 0 0" "the pool"
  status=0
  velapg take broken 2>"$out" || status=$?
  equal "$status" 1 "exit status"
  grep -q 'checkpoint record' "$out" || fail "the server's last words are not told: $(cat "$out")"
  velapg pool stop broken
  velafs -q delete broken
  velafs -q gc --trash
  nothing_left
}
check "a source whose server does not come up is told to who wants a clone" broken_source
