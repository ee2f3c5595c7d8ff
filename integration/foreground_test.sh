#!/usr/bin/env bash
# Servers that a service manager runs: velapg start --foreground.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

make_store 0
velafs -q clone main pr-1
out=$VELAFS_SANDBOX/out
said=$VELAFS_SANDBOX/said
socket=$VELAFS_SANDBOX/notify
velapg_pid=0
listener=0

# The service manager's end: each message on lines of its own in the file "said".
listen_for_messages() {
  rm -f "$socket"
  : >"$said"
  perl -MSocket -e '
    socket($s, AF_UNIX, SOCK_DGRAM, 0) && bind($s, pack_sockaddr_un($ARGV[0])) or die "$!";
    $| = 1;
    print "listening\n";
    print "$message\n" while defined recv($s, $message, 65536, 0);' "$socket" >"$said" &
  listener=$!
  wait_until 10 has_line -x listening "$said"
}

# A job of the shell ignores SIGINT unless told otherwise.
start_service() { # start_service BRANCH [OPTION...]: returns once it is ready
  listen_for_messages
  NOTIFY_SOCKET=$socket env --default-signal=INT velapg start "$@" --foreground >"$out" 2>"$out.err" </dev/null &
  velapg_pid=$!
  wait_until 20 has_line -x READY=1 "$said" || fail "it is never ready: $(cat "$out.err")"
}

# The exit status of the service, which ends.
service_status() {
  local status=0
  wait_until 60 has_ended "$velapg_pid" || fail "velapg does not end"
  wait "$velapg_pid" || status=$?
  kill "$listener" 2>/dev/null || true
  echo "$status" >"$out.status"
}

postmaster() {
  field "$1" server_pid
}

ready_then_stopped() {
  local signal pid
  for signal in TERM INT; do
    start_service pr-1
    # Ready means that it takes connections.
    equal "$(sql pr-1 'select 1')" 1
    has_line -x 'STATUS=starting the server of branch "pr-1"' "$said"
    has_line "STATUS=server of branch \"pr-1\" takes connections on port $(field pr-1 port)" "$said"
    ! has_line STOPPING "$said" || fail "it says that it stops"
    has_line 'server of branch "pr-1" runs: pid ' "$out"
    pid=$(postmaster pr-1)
    ! tr '\0' '\n' <"/proc/$pid/environ" | has_line NOTIFY_SOCKET || fail "the server could speak for the service"
    kill -s "$signal" "$velapg_pid"
    service_status
    equal "$(cat "$out.status")" 0 "exit status after SIG$signal"
    has_line -x 'STOPPING=1' "$said"
    has_ended "$pid" || fail "the server still runs"
    velapg logs pr-1 -n 50 | has_line 'database system is shut down' || fail "it was no clean shutdown"
  done
}
check "READY comes when the server takes connections; SIGTERM and SIGINT stop it, exit status 0" ready_then_stopped

reloaded() {
  start_service pr-1
  sql pr-1 "alter system set work_mem = '5MB'"
  kill -HUP "$velapg_pid"
  wait_until 20 has_work_mem 5MB || fail "work_mem is $(sql pr-1 'show work_mem')"
  kill "$velapg_pid"
  service_status
  equal "$(cat "$out.status")" 0
}
has_work_mem() {
  [[ $(sql pr-1 'show work_mem') == "$1" ]]
}
check "SIGHUP has the server read its configuration again" reloaded

dies() {
  start_service pr-1
  kill -KILL "$(postmaster pr-1)"
  service_status
  equal "$(cat "$out.status")" 1
  has_line -x 'velapg: error: server of branch "pr-1" ended with exit status 137' "$out.err"
  has_line 'hint: the server says' "$out.err"
  has_line 'database system is ready to accept connections' "$out.err"
}
check "a server that dies ends velapg with status 1 and the last lines of its log" dies

told_by_others() {
  start_service pr-1
  velapg -q stop pr-1
  service_status
  equal "$(cat "$out.status")" 0
}
check "velapg stop ends it, too, with status 0" told_by_others

orphaned() {
  local pid
  start_service pr-1
  pid=$(postmaster pr-1)
  kill -KILL "$velapg_pid"
  wait_until 30 has_ended "$pid" || fail "the server has outlived velapg"
  service_status
}
check "the server does not outlive a velapg that is killed" orphaned

refused() {
  velapg -q start pr-1
  refuses 4 'is already running' velapg start pr-1 --foreground
  velapg -q stop pr-1
  refuses 3 'there is no branch "nosuch"' velapg start nosuch --foreground
  refuses 2 . velapg restart pr-1 --foreground
}
check "it is refused where a server runs already, and for no branch" refused

unit_is_right() {
  if ! command -v systemd-analyze >/dev/null; then
    skip "the unit" "there is no systemd-analyze"
    return
  fi
  local units=$VELAFS_SANDBOX/units
  mkdir -p "$units"
  sed "s|/usr/bin/velapg|$VELAFS_SANDBOX/bin/velapg|" "$root_dir/packaging/systemd/velapg@.service" \
    >"$units/velapg@pr-1.service"
  printf '[Service]\nExecStart=/bin/true\n' >"$units/velafs.service"
  SYSTEMD_UNIT_PATH=$units: systemd-analyze verify --man=no "$units/velapg@pr-1.service" >"$out" 2>&1 ||
    fail "systemd-analyze says: $(cat "$out")"
  [[ ! -s $out ]] || fail "systemd-analyze says: $(cat "$out")"
}
check "systemd finds nothing wrong with the unit of a branch's server" unit_is_right
