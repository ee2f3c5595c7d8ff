#!/usr/bin/env bash
# The daemon as a service: what it tells the manager that started it, and how it ends. The manager is a
# program that prints what it is told; under a real one the package is tested.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

make_cluster "$VELAFS_SANDBOX/cluster" 0
velafs -q init
velafs -q import main --from-dir "$VELAFS_SANDBOX/cluster"
velafs -q unprotect main

told=$VELAFS_SANDBOX/told
log=$VELAFS_SANDBOX/daemon.log
export VELAFS_CONFIG=$VELAFS_SANDBOX/velafs.conf
mount_dir=$VELAFS_SANDBOX/branches
policies=$VELAFS_SANDBOX/policies.toml
touch "$policies"
printf '[store]\nttl = "30d"\n' >"$policies"
cat >"$VELAFS_CONFIG" <<END
store = "$VELAFS_STORE"
mountpoint = "$mount_dir"
policy_file = "$policies"
[mount]
stop_timeout = "2s"
END
chmod 644 "$VELAFS_CONFIG" "$policies"

# Starts the daemon as a manager does, with a watchdog of 400 ms, and returns once it is ready.
start_service() {
  rm -f "$VELAFS_SANDBOX/notify"
  "$build_dir/integration/programs/notify_receiver" "$VELAFS_SANDBOX/notify" >"$told" &
  receiver=$!
  wait_until 10 test -S "$VELAFS_SANDBOX/notify"
  NOTIFY_SOCKET=$VELAFS_SANDBOX/notify WATCHDOG_USEC=${watchdog_us:-400000} velafs mount --foreground >"$log" 2>&1 &
  daemon=$!
  wait_until 60 has_line 'READY=1' "$told" || fail "it is not ready: $(cat "$told" "$log")"
}
was_told() { # was_told PATTERN [NUMBER OF TIMES]
  (($(grep -cE -- "$1" "$told") >= ${2:-1}))
}
# The way out of each case: SIGTERM to the daemon, if it lives.
end_service() {
  local status=0
  kill -TERM "$daemon" 2>/dev/null || true
  wait "$daemon" || status=$?
  kill "$receiver"
  wait "$receiver" 2>/dev/null || true
  equal "$status" 0 "exit status of the daemon"
}

ready() {
  start_service
  # At once, and not after a while.
  stat --file-system "$mount_dir/main" >/dev/null
  velafs -q clone main one
  was_told "^$daemon READY=1;STATUS=store \"$VELAFS_STORE\" at \"$mount_dir\": 1 branch, 0 running servers\$" ||
    fail "it was told: $(cat "$told")"
  end_service
  was_told 'STOPPING=1;STATUS=' || fail "it was told: $(cat "$told")"
  ! is_mount "$mount_dir" || fail "it is still mounted"
}
check "the manager is told that the daemon is ready when the mount answers, and that it stops" ready

watched() {
  local before
  start_service
  wait_until 10 was_told 'WATCHDOG=1' 5 || fail "it was told: $(cat "$told")"
  # A daemon that does not answer pings no more: all of its threads are stopped, and go on.
  kill -STOP "$daemon"
  before=$(grep -c 'WATCHDOG=1' "$told")
  kill -CONT "$daemon"
  wait_until 10 was_told 'WATCHDOG=1' $((before + 3)) || fail "it was told: $(cat "$told")"
  end_service
}
check "the watchdog is told in time that the daemon is alive" watched

reloaded() {
  start_service
  equal "$(velafs --json policy show | jq -r '.policies[] | select(.key == "ttl").value')" 30d
  printf '[store]\nttl = "7d"\n' >"$policies"
  kill -HUP "$daemon"
  wait_until 10 was_told 'READY=1' 2 || fail "it was told: $(cat "$told")"
  was_told 'RELOADING=1;MONOTONIC_USEC=[0-9]+'
  equal "$(velafs --json policy show | jq -r '.policies[] | select(.key == "ttl").value')" 7d
  # What is wrong changes nothing, and ends nothing.
  echo 'stor = 1' >>"$VELAFS_CONFIG"
  kill -HUP "$daemon"
  wait_until 10 was_told 'READY=1' 3 || fail "it was told: $(cat "$told")"
  has_line 'cannot reload the configuration: .*unknown key' "$log"
  sed -i '$d' "$VELAFS_CONFIG"
  velafs -q policy unset --of-store ttl
  echo >"$policies"
  printf '[store]\n' >"$policies"
  end_service
}
check "SIGHUP has the configuration and its policies read anew" reloaded

ordered() {
  start_service
  velapg -q start one
  wait_until 10 was_told 'STATUS=.*, 1 running server$' || fail "it was told: $(cat "$told")"
  sql one 'create table kept as select 1 as a'
  end_service
  was_told 'STOPPING=1;STATUS=stopping 1 running server' || fail "it was told: $(cat "$told")"
  was_told 'EXTEND_TIMEOUT_USEC=' || fail "it was told: $(cat "$told")"
  has_line 'the server on "one" has been stopped' "$log"
  start_service
  velapg -q start one
  equal "$(sql one 'select a from kept')" 1
  velapg logs one -n 500 >server.log
  ! has_line 'not properly shut down' server.log || fail "the mount went before the server"
  end_service
}
check "SIGTERM stops the servers before the mount goes" ordered

limited() {
  local backend
  start_service
  velapg -q start one
  backend=$(sql one "select pid from pg_stat_activity where backend_type = 'checkpointer'")
  kill -STOP "$backend" # no fast shutdown comes to its end
  kill -TERM "$daemon"
  wait_until 10 was_told STOPPING=1
  kill -TERM "$daemon" # once more does no harm
  end_service
  has_ended "$backend" || fail "a process of the server is left"
  ! is_mount "$mount_dir" || fail "it is still mounted"
  has_line 'the server on "one" has been stopped' "$log"
}
check "a server that does not stop in time is shut down at once; a second SIGTERM is harmless" limited

asked_until_the_end() {
  local i
  for i in {1..15}; do
    watchdog_us=1000 start_service
    end_service
  done
}
check "a daemon that is asked all the time whether it is alive ends well" asked_until_the_end

quiet_children() {
  local pid
  velafs -q policy set one autostart=on
  start_service
  wait_until 30 eval '[[ $(field one server_pid) != null ]]' || fail "no server: $(cat "$log")"
  pid=$(field one server_pid)
  ! tr '\0' '\n' <"/proc/$pid/environ" | grep -E '^(NOTIFY_SOCKET|WATCHDOG_)' ||
    fail "the server knows the manager"
  end_service
  equal "$(cut -d' ' -f1 "$told" | sort -u)" "$daemon" "processes that spoke to the manager"
  velafs -q policy unset one autostart
}
check "a server that starts with the daemon does not speak for it" quiet_children

journal() {
  : >"$log"
  (
    exec 2>"$log"
    JOURNAL_STREAM=$(stat -c %d:%i "$log") exec velafs mount --foreground >/dev/null
  ) &
  daemon=$!
  wait_until 30 has_line '^<6>velafs .* mounted at' "$log" || fail "the log is: $(cat "$log")"
  kill -TERM "$daemon"
  wait "$daemon"
  ! grep -vE '^<[3-7]>[^ ]' "$log" || fail "a line without priority"
}
check "lines for the journal have its priorities, and no times" journal

unset VELAFS_CONFIG

# The machine's configuration, which the sandbox alone sees.
mkdir etc-upper etc-work
if mount -t overlay -o "lowerdir=/etc,upperdir=$PWD/etc-upper,workdir=$PWD/etc-work" overlay /etc 2>/dev/null; then
  told_of_machine() {
    local status=0
    mkdir -p /etc/velafs
    echo "store = \"$VELAFS_STORE\"" >/etc/velafs/velafs.conf
    env -u VELAFS_STORE velafs --json config show | jq -e --arg store "$VELAFS_STORE" \
      '.file == "/etc/velafs/velafs.conf" and (.settings[] | select(.key == "store").value) == $store'
    runuser -u nobody -- env -u VELAFS_STORE HOME=/nonexistent velafs list >out 2>&1 || status=$?
    cat out
    equal "$status" 3 "exit status"
    has_line -F "hint: this machine has one: velafs --store $VELAFS_STORE ..., or export VELAFS_STORE=$VELAFS_STORE;" out
    rm /etc/velafs/velafs.conf
    runuser -u nobody -- env -u VELAFS_STORE HOME=/nonexistent velafs list >out 2>&1 || true
    has_line 'hint: make one' out || fail "it says: $(cat out)"
  }
  check "root uses the machine's configuration, and a user without a store is told of its store" told_of_machine
  umount --lazy /etc
else
  skip "the machine's configuration" "there is no overlayfs"
fi
