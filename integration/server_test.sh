#!/usr/bin/env bash
# What velapg says of servers, and when it stops them by itself.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

make_store 0
velafs -q clone main one
velafs -q clone main two

state_of() { velapg --json status "$1" | jq -r .state; }
is_stopped() { [[ $(state_of "$1") == stopped ]]; }
connections() { velapg --json status "$1" | jq .connections; }
has_connections() { [[ $(connections "$1") == "$2" ]]; }

listed() {
  equal "$(velapg --json status | jq -c .)" '{"servers":[]}' "with no server"
  velapg -q start one --tcp
  velapg -q start two
  velapg --json status | jq -e '[.servers[] | .branch] == ["one", "two"] and all(.servers[]; .pid > 0 and .port > 0)'
  velapg status | has_line -E "^two +running +$(velapg --json status two | jq .port) "
  velapg -q stop two
  equal "$(velapg --json status | jq -r '.servers[].branch')" one "what runs"
}
check "status without a branch lists the servers that run" listed

counted() {
  equal "$(connections one)" 0 "connections"
  on one psql -qXc 'select pg_sleep(1000)' >/dev/null 2>&1 &
  wait_until 20 has_connections one 1
  local port
  port=$(velapg --json status one | jq .port)
  exec {tcp}<>"/dev/tcp/127.0.0.1/$port" # a connection that says nothing is one, too
  wait_until 20 has_connections one 2
  exec {tcp}>&-
  wait_until 20 has_connections one 1
  sql one "select pg_terminate_backend(pid) from pg_stat_activity where query ~ 'pg_sleep' and pid <> pg_backend_pid()"
  wait_until 20 has_connections one 0
  velapg -q stop one
}
check "connections are counted, on the Unix socket and over TCP" counted

psql_on_stopped() {
  refuses 1 'no server runs on branch "two"' velapg psql two
  { velapg psql two 2>&1 || true; } | has_line 'hint: start one with velapg start two'
}
check "psql on a stopped branch says how to start it" psql_on_stopped

stops_when_idle() {
  velapg -q start one --idle-stop 2s
  velapg status one | has_line 'stops after 2s without'
  equal "$(velapg --json status one | jq .idle_stop_seconds)" 2
  local start
  start=$(now_ms)
  on one psql -qXc 'select pg_sleep(4)' >/dev/null
  equal "$(state_of one)" running "after 4 s with a connection"
  wait_until 30 is_stopped one
  at_least $(($(now_ms) - start)) 5000 "milliseconds until it stopped"
  { velapg status one || true; } | has_line 'stopped, after 2s without a connection'
  velapg logs one | has_line 'velapg: stopping: no client for 2s'
  velapg logs one | has_line 'database system is shut down'
}
check "a server is stopped when nobody has been connected for that time, and not before" stops_when_idle

idle_by_policy() {
  velafs -q policy set one idle_stop=1h
  velapg -q start one
  equal "$(velapg --json status one | jq .idle_stop_seconds)" 3600
  velapg -q restart one --idle-stop never
  equal "$(velapg --json status one | jq .idle_stop_seconds)" null
  velapg -q stop one
  velafs -q policy unset one idle_stop
}
check "a policy says when servers are stopped, unless the command does" idle_by_policy

forgotten() {
  velapg -q start one
  equal "$(velapg --json status one | jq .idle_stop_seconds)" null
  velapg -q stop one
  ! velapg status one | has_line 'without a connection' || fail "an earlier stop is told as this one's"
}
check "a start without it forgets it" forgotten

watcher_of() { # the processes named velapg
  local comm
  for comm in /proc/[0-9]*/comm; do
    [[ $(cat "$comm" 2>/dev/null) != velapg ]] || basename "${comm%/comm}"
  done
}
no_watcher() { [[ -z $(watcher_of) ]]; }
watcher_ends() {
  velapg -q start one --idle-stop 1h
  equal "$(watcher_of | wc -l)" 1 "watchers"
  equal "$(stat -c %U "/proc/$(watcher_of)")" postgres "the watcher's user"
  velapg -q restart one
  wait_until 20 no_watcher
  velapg -q restart one --idle-stop 1h
  kill -KILL "$(watcher_of)"
  wait_until 20 no_watcher
  equal "$(velapg --json status one | jq .idle_stop_seconds)" null "with its watcher killed"
  velapg -q stop one
}
check "a watcher ends with its server, and a killed one is not told as living" watcher_ends

last_start() { velapg logs "$1" | grep 'starting PostgreSQL' | tail -n 1; }
# Server programs that leave a directory where velapg is to note when it stops the server.
unwatched() {
  local programs=$VELAFS_SANDBOX/programs run_dir before
  velapg -q start one
  run_dir=$(velapg --json status one | jq -r .socket_dir)
  velapg -q stop one
  before=$(last_start one)
  mkdir "$programs"
  ln -s "$pg_bin"/* "$programs/"
  rm "$programs/postgres"
  printf '#!/bin/sh\n[ "$1" = -V ] || mkdir -p "%s/idle-stop"\nexec "%s" "$@"\n' "$run_dir" "$pg_bin/postgres" >"$programs/postgres"
  chmod +x "$programs/postgres"
  ! velapg start one --idle-stop 1h --pgbin "$programs" 2>"$VELAFS_SANDBOX/err" || fail "it starts"
  has_line 'idle-stop' <"$VELAFS_SANDBOX/err"
  velapg logs one | tail -n 1 | has_line 'database system is shut down'
  [[ $(last_start one) != "$before" ]] || fail "its server was not started"
  ! pgrep -x postgres || fail "its server runs"
  rmdir "$run_dir/idle-stop"
  equal "$(state_of one)" stopped
  velapg -q start one --idle-stop 1h
  velapg -q stop one
}
check "a server that nobody could stop when it is idle is not left running" unwatched

included_settings() {
  local conf=$mount_dir/one/postgresql.conf
  as_postgres sh -c "echo \"include_if_exists = 'more.conf'\" >>'$conf'"
  as_postgres sh -c "echo 'maintenance_work_mem = 1GB' >'$mount_dir/one/more.conf'"
  velapg --json start one >"$VELAFS_SANDBOX/started"
  jq -e '.neutralised[] | select(.setting == "maintenance_work_mem").value == "64MB"' "$VELAFS_SANDBOX/started"
  equal "$(sql one 'show maintenance_work_mem')" 64MB
  sql one "alter system set wal_buffers = '64MB'"
  velapg --json restart one >"$VELAFS_SANDBOX/started"
  jq -e '.neutralised[] | select(.setting == "wal_buffers").value == "16MB"' "$VELAFS_SANDBOX/started"
  velapg -q stop one
}
check "settings of included files and of ALTER SYSTEM are seen before a start" included_settings
