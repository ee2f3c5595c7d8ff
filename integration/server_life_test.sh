#!/usr/bin/env bash
# Servers that end with their branch's time or with the daemon, that start with it, and many at once.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

make_store 0
out=$VELAFS_SANDBOX/out
daemon_log=$VELAFS_STORE/run/velafs.log

running() { # running: the branches with a server, in one line
  velapg --json status | jq -r '[.servers[].branch] | join(" ")'
}
postmaster() {
  field "$1" server_pid
}
is_gone() {
  [[ $(velafs --json show "$1" 2>/dev/null | jq -r .error.code) == not_found ]]
}

# ---- Time that has passed --------------------------------------------------------------------------

expired_running() {
  local pid
  velafs -q clone main short
  velapg -q start short
  pid=$(postmaster short)
  velafs -q ttl short 1s
  wait_until 30 is_gone short || fail "the branch is still there"
  has_ended "$pid" || fail "the server still runs"
  velafs --json list --trash | jq -e '.branches | any(.name == "short")'
  has_line 'server on branch "short", which has expired, was stopped' <"$daemon_log"
  velafs -q undelete short
  velapg -q start short
  velapg logs short -n 500 >"$out"
  ! has_line 'not properly shut down' <"$out" || fail "it was no fast shutdown"
  velapg -q stop short
  velafs -q delete --purge short
}
check "a server is stopped, and its branch deleted, when the branch's time has passed" expired_running

kept_running() {
  velafs -q clone main guarded
  velafs -q clone main wanted
  velafs -q protect guarded
  velafs -q policy set wanted expire_running=keep
  velapg -q start guarded
  velapg -q start wanted
  velafs -q ttl guarded 1s
  velafs -q ttl wanted 1s
  wait_until 10 both_kept || fail "expire says: $(cat "$out")"
  equal "$(running)" 'guarded wanted'
  velafs -q policy unset wanted expire_running
  wait_until 30 is_gone wanted || fail "it is still kept"
  equal "$(running)" guarded
  velapg -q stop guarded
  velafs -q unprotect guarded
  wait_until 30 is_gone guarded || fail "it is kept though it is no longer protected"
  velafs -q gc --trash
}
both_kept() {
  velafs --json expire >"$out"
  jq -e '.stopped == [] and .branches == [] and ([.kept[].name] | sort) == ["guarded", "wanted"]' "$out"
}
check "a protected branch, or one whose policy says so, keeps its server" kept_running

# ---- Many at once ----------------------------------------------------------------------------------

stop_many() {
  local name
  for name in pr-1 pr-2 other; do
    velafs -q clone main $name
    velapg -q start $name
  done
  velafs -q label pr-2 team=web
  equal "$(velapg --json status 'pr-*' | jq -c '[.servers[].branch]')" '["pr-1","pr-2"]'
  equal "$(velapg --json status --label team=web | jq -c '[.servers[].branch]')" '["pr-2"]'
  velapg --json stop --label team=web | jq -e '[.servers[] | [.branch, .stopped]] == [["pr-2", true]]'
  velapg stop 'pr-*' | has_line -x 'server of branch "pr-1" stopped'
  equal "$(running)" other
  refuses 3 'there is no branch "nosuch"' velapg stop other nosuch
  equal "$(running)" other
  velapg -q start pr-1
  velapg --json stop --all | jq -e '[.servers[].branch] == ["other", "pr-1"]'
  equal "$(running)" ''
  velapg --json stop --all | jq -e '.servers == []'
}
check "stop and status take patterns, labels and all" stop_many

one_url() {
  velafs -q clone main shown --as-user www-data
  velapg -q start shown
  equal "$(velapg --json status | jq -r '.servers[0].url')" "$(velapg url shown)" "the URL in the list"
  equal "$(velapg --json status shown | jq -r .url)" "$(velapg url shown)" "the URL of one"
  velapg -q stop shown
  velafs -q delete --purge shown
}
check "the list has the URL that url prints, also of a branch that is shown as another's" one_url

stop_some_fail() {
  local pid status=0
  velapg -q start pr-1
  velapg -q start other
  pid=$(postmaster other)
  kill -STOP "$pid"
  velapg --json stop --all --timeout 1s >"$out" 2>"$out.err" || status=$?
  equal "$status" 1
  has_line 'server of branch "other" has not stopped after 1s: it writes its last checkpoint' <"$out.err"
  has_line 'hint: velapg stop other --mode immediate' <"$out.err"
  jq -e '.servers == [{"branch": "other", "stopped": false, "pid": '"$pid"',
      "error": {"code": "failed", "message": .servers[0].error.message}},
    {"branch": "pr-1", "stopped": true, "pid": .servers[1].pid}]' "$out"
  velapg stop other --force
  has_ended "$pid" || fail "the server that takes no notice still runs"
  equal "$(running)" ''
  velapg -q start other # and recovers
  velapg -q stop other
}
check "when one does not stop, the others do; --force ends that one, too" stop_some_fail

reset_running() {
  local url
  velapg -q start pr-1
  url=$(velapg url pr-1)
  sql pr-1 'create table mine ()'
  velapg --json reset pr-1 >"$out"
  jq -e --arg url "$url" '.branch == "pr-1" and .restarted and .url == $url and .source == "main" and
    .pid > 1 and .lost_bytes > 0' "$out"
  equal "$(sql pr-1 "select to_regclass('mine') is null")" t
  refuses 3 . velapg reset pr-1 --to main@nosuch
  equal "$(running)" pr-1
  velapg -q stop pr-1
  velapg --json reset pr-1 --to main | jq -e '.restarted == false and .branch == "pr-1"'
  equal "$(running)" ''
}
check "reset stops a server, and starts it again at the same URL" reset_running

port_moved() {
  local port
  velapg -q start other --tcp --network host
  port=$(field other port)
  velapg -q stop other
  host_start "$VELAFS_SANDBOX/cluster" -c listen_addresses=127.0.0.1 -c port="$port"
  velapg start other --tcp --network host 2>"$out" >/dev/null
  host_stop "$VELAFS_SANDBOX/cluster"
  has_line "port $port of branch \"other\" is taken by another program: its port is $(field other port)" <"$out"
  velapg -q stop other
}
check "a kept port that another program has is given up with a warning" port_moved

# ---- The daemon's end and beginning ------------------------------------------------------------------

refused_by_name() {
  velapg -q start pr-1
  velapg -q start pr-2
  refuses 4 'a server runs on "pr-1", on "pr-2"' velafs umount
  equal "$(running)" 'pr-1 pr-2'
}
check "umount names the branches whose servers run" refused_by_name

stopped_by_umount() {
  local pid
  pid=$(postmaster pr-1)
  velafs umount --stop-servers
  ! is_mount "$mount_dir" || fail "it is still mounted"
  has_ended "$pid" || fail "the server still runs"
  velafs --json mount | jq -e '.started == []'
  equal "$(running)" ''
}
check "umount --stop-servers stops them; without a policy none starts again" stopped_by_umount

terminated() {
  local pid daemon
  velapg -q start pr-1
  velapg -q start pr-2
  sql pr-1 'create table kept ()'
  pid=$(postmaster pr-2)
  daemon=$(daemon_pid)
  velafs -q policy set --of-store autostart=last
  kill -TERM "$daemon"
  wait_until 30 has_ended "$daemon" || fail "the daemon has not ended"
  has_ended "$pid" || fail "a server still runs"
  velapg status | has_line -x 'no server runs'
  velafs --json mount >"$out"
  jq -e '.started == ["pr-1", "pr-2"] and (has("autostart") | not)' "$out"
  equal "$(running)" 'pr-1 pr-2'
  equal "$(sql pr-1 "select to_regclass('kept') is not null")" t
  velapg logs pr-1 -n 500 >"$out"
  ! has_line 'not properly shut down' <"$out" || fail "it was no fast shutdown"
}
check "SIGTERM stops the servers, and those that ran start again with autostart=last" terminated

killed() {
  local daemon server
  velapg -q stop pr-2
  server=$(velapg --json status pr-1 | jq .pid)
  daemon=$(daemon_pid)
  kill -STOP "$server" # or it ends of its own when it misses its files
  kill -KILL "$daemon"
  wait_until 30 has_ended "$daemon" || fail "the daemon has not ended"
  velapg --json status | jq -e '.servers == [{"branch": "pr-1", "state": "orphaned", "pid": .servers[0].pid}]'
  kill -CONT "$server"
  velafs --json mount | jq -e '.started == ["pr-1"]'
  equal "$(running)" pr-1
}
check "after kill -9 the server shows as orphaned, and starts again on the next mount" killed

always_on() {
  velafs -q policy set pr-2 autostart=on
  velafs -q policy set pr-1 autostart=off
  velafs -q umount --stop-servers
  mkdir -p "$VELAFS_SANDBOX/elsewhere"
  velafs mount "$VELAFS_SANDBOX/elsewhere" --foreground >/dev/null 2>"$out" &
  wait_until 30 is_up || fail "the server does not run"
  equal "$(running)" pr-2
  velafs -q umount --stop-servers
  wait
  velafs --json mount --no-autostart | jq -e '.started == []'
}
is_up() {
  is_mount "$VELAFS_SANDBOX/elsewhere" && [[ $(running) == pr-2 ]]
}
check "autostart=on starts a server with a daemon in the foreground, too" always_on

not_started() {
  echo 11 >"$mount_dir/pr-2/PG_VERSION"
  velafs -q umount
  velafs --json mount >"$out" 2>"$out.err"
  jq -e '.started == []' "$out"
  has_line 'warning: cannot start the server on branch "pr-2": .*PostgreSQL 11' <"$out.err"
  velafs -q policy unset pr-2 autostart
}
check "a server that cannot start is named, and the store is mounted" not_started

# ---- Logs -----------------------------------------------------------------------------------------

reopened() {
  mv "$daemon_log" "$daemon_log.old"
  kill -HUP "$(daemon_pid)"
  wait_until 10 test -s "$daemon_log" || fail "there is no new log"
  has_line 'the log was reopened' <"$daemon_log"
  velafs -q clone main again
  velafs -q ttl again 1s
  wait_until 30 is_gone again
  has_line 'branch "again" has expired' <"$daemon_log"
  ! has_line '"again"' <"$daemon_log.old" || fail "it still writes to the old log"
}
check "SIGHUP has the daemon's log opened anew" reopened

no_room() {
  local _
  velafs -q clone main small --quota 1M
  for _ in 1 2 3; do
    ! dd if=/dev/urandom of="$mount_dir/small/big" bs=1M count=8 status=none || fail "there is room"
  done
  equal "$(grep -c 'branch "small" is out of space: a quota is used up' "$daemon_log")" 1 "lines in the log"
  velafs -q delete --purge small
}
check "a branch that finds no room is named in the daemon's log, once" no_room

large_log() {
  local run
  run=$VELAFS_STORE/run/$(field other id)
  velapg -q start other
  velapg -q stop other
  truncate -s 65M "$run/postgres.log"
  velapg -q start other
  at_most "$(stat -c %s "$run/postgres.log")" 1000000 "the new log's size"
  equal "$(stat -c %s "$run/postgres.log.1")" $((65 << 20))
  velapg -q stop other
}
check "a server's log that has grown large gives way to a new one at the next start" large_log
