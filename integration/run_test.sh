#!/usr/bin/env bash
# velapg run: a clone for the time of one command, gone whatever becomes of the command.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

make_store 1

nothing_left() {
  velafs --json list | jq -e '[.branches[].name] == ["main"]' || fail "a branch is left"
  equal "$(find "$VELAFS_STORE/run" -name '*.pid' -o -name '.s.PGSQL*' | wc -l)" 0 "what is left in run/"
  ! servers_run || fail "a server is left"
}
servers_run() {
  local comm
  for comm in /proc/[0-9]*/comm; do
    [[ $(cat "$comm" 2>/dev/null) == postgres ]] && return 0
  done
  return 1
}

gives_environment() {
  # shellcheck disable=SC2016
  velapg run main -- bash -c '
    [[ $PGHOST && $PGPORT && $PGDATABASE && $DATABASE_URL ]]
    psql -qXAtc "update pgbench_accounts set abalance = 5 where aid = 1"
    psql -qXAtc "select abalance from pgbench_accounts where aid = 1" "$DATABASE_URL"' >"$VELAFS_SANDBOX/out"
  equal "$(cat "$VELAFS_SANDBOX/out")" 5 "what the command printed"
  nothing_left
  velapg run main -- psql -qXAtc "select abalance from pgbench_accounts where aid = 1" >"$VELAFS_SANDBOX/out"
  equal "$(cat "$VELAFS_SANDBOX/out")" 0 "the branch's own row"
  nothing_left
}
check "the command finds its own server, and the branch stays as it was" gives_environment

passes_status() {
  local expected status
  for expected in 0 1 42 255; do
    status=0
    velapg run main -- bash -c "exit $expected" || status=$?
    equal "$status" "$expected" "exit status"
  done
  nothing_left
}
check "the command's exit status is passed on" passes_status

passes_streams() {
  equal "$(echo in | velapg run main -- cat)" in "stdout"
  equal "$(velapg run main -- bash -c 'echo out; echo err >&2' 2>/dev/null)" out "stdout"
  nothing_left
}
check "stdin and stdout are the command's" passes_streams

at_once() {
  local pids=() pid
  for _ in 1 2 3; do
    velapg run main -- pgbench --no-vacuum --client 2 --time 2 &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid"; done
  nothing_left
}
check "several run side by side" at_once

check "an unknown source is refused" refuses 3 '"nobody"' velapg run nobody --name short -- true
missing_command() {
  local status=0
  velapg run main -- /nowhere/command || status=$?
  ((status != 0)) || fail "exit status 0"
  nothing_left
}
check "a command that is not there leaves nothing" missing_command

no_server() {
  velafs clone main broken
  rm "$mount_dir"/broken/pg_wal/0*
  local status=0
  velapg run broken -- true 2>"$VELAFS_SANDBOX/err" || status=$?
  cat "$VELAFS_SANDBOX/err"
  equal "$status" 1 "exit status"
  grep -q '^velapg: error: ' "$VELAFS_SANDBOX/err" || fail "no error message"
  grep -q 'checkpoint record' "$VELAFS_SANDBOX/err" || fail "the server's last words are not told"
  velafs delete broken
  nothing_left
}
check "a server that does not come up leaves nothing, and its last words are told" no_server

# Starts a command that says its pid and then waits to be killed.
start_waiting() {
  rm -f "$VELAFS_SANDBOX/command_pid"
  # shellcheck disable=SC2016
  env --default-signal setsid velapg run main -- \
    bash -c 'echo $$ >"$1.new" && mv "$1.new" "$1"; exec sleep 1000' bash "$VELAFS_SANDBOX/command_pid" &
  run_pid=$!
  wait_until 30 test -e "$VELAFS_SANDBOX/command_pid"
  command_pid=$(cat "$VELAFS_SANDBOX/command_pid")
}

ends_with() { # ends_with STATUS
  local status=0
  wait "$run_pid" || status=$?
  equal "$status" "$1" "exit status"
  has_ended "$command_pid" || fail "the command is left"
  nothing_left
}

interrupted() {
  start_waiting
  kill -INT -- "-$run_pid"
  ends_with 130
}
check "ctrl-C ends the command and leaves nothing" interrupted

command_killed() {
  start_waiting
  kill -KILL "$command_pid"
  ends_with 137
}
check "kill -9 of the command leaves nothing" command_killed

terminated() {
  start_waiting
  kill -TERM "$run_pid"
  ends_with 143
}
check "SIGTERM to velapg ends the command and leaves nothing" terminated

server_killed() {
  start_waiting
  local server
  server=$(velapg --json status "$(velafs --json list | jq -r '.branches[].name | select(. != "main")')" | jq .pid)
  kill -KILL "$server"
  kill -TERM "$command_pid"
  ends_with 143
}
check "kill -9 of the server leaves nothing" server_killed

outlives_its_lease() {
  velafs -q policy set --of-store max_ttl=3s
  equal "$(velapg run main -- bash -c 'sleep 7; psql -qXAtc "select 1"')" 1 "what the command printed"
  nothing_left
}
check "a command that takes longer than the lease of its clone keeps it" outlives_its_lease

all_killed() {
  local supervisor
  start_waiting
  supervisor=$(pgrep --parent "$run_pid" --exact velapg)
  kill -KILL "$supervisor" "$run_pid"
  wait "$run_pid" || true
  wait_until 30 only_main || fail "the clone is left: $(velafs list)"
  wait_until 30 has_ended "$command_pid" || fail "the command is left"
  nothing_left
  velafs -q gc --trash
  velafs -q policy unset --of-store max_ttl
}
only_main() {
  [[ $(velafs --json list | jq -c '[.branches[].name]') == '["main"]' ]]
}
check "kill -9 of velapg and of what cleans up after it leaves nothing once the lease is over" all_killed
