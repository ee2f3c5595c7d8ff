#!/usr/bin/env bash
# What a dead or hanging daemon leaves behind, and what a reboot does: the next mount cleans up and says so, nothing
# waits for ever, and no branch gets a second server.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

elsewhere=$VELAFS_SANDBOX/else,where\ here
mkdir "$elsewhere"

kill_daemon() {
  local pid
  pid=$(daemon_pid)
  kill -KILL "$pid"
  wait_until 10 has_ended "$pid" || fail "the daemon does not end"
}

mounts() {
  grep -c 'fuse.velafs' /proc/self/mounts || true
}

make_store 1
velafs -q clone main one
velafs -q umount

# ---- A dead mount ----------------------------------------------------------------------------------

says_detached() { # says_detached MOUNTPOINT COMMAND...
  local where=$1 said
  shift
  said=$("$@" 2>&1)
  echo "$said"
  [[ $said == *"detached \"$where\", left by a daemon that died"* ]] || fail "it does not say so"
}

remounted() { # remounted OLD-MOUNTPOINT NEW-MOUNTPOINT
  velafs -q mount "$1"
  ls "$1/one" >/dev/null
  kill_daemon
  says_detached "$1" velafs mount "$2"
  equal "$(mounts)" 1 "number of mounts"
  cmp "$2/one/PG_VERSION" "$VELAFS_SANDBOX/cluster/PG_VERSION"
  velafs -q umount
}
mkdir -p "$mount_dir"
check "a mount detaches the one a dead daemon left" remounted "$mount_dir" "$mount_dir"
check "also where that was mounted elsewhere" remounted "$elsewhere" "$mount_dir"
check "also where this one is" remounted "$mount_dir" "$elsewhere"

in_use() {
  local user
  velafs -q mount
  (cd "$mount_dir/one" && exec sleep 60) &
  user=$!
  wait_until 30 works_in_branch "$user" || fail "it does not begin"
  kill_daemon
  says_detached "$mount_dir" velafs mount
  cmp "$mount_dir/one/PG_VERSION" "$VELAFS_SANDBOX/cluster/PG_VERSION"
  kill "$user"
  velafs -q umount
}
works_in_branch() { [[ $(readlink "/proc/$1/cwd") == "$mount_dir/one" ]]; }
check "also while somebody works in it" in_use

umounted() {
  velafs -q mount "$elsewhere"
  kill_daemon
  says_detached "$elsewhere" velafs umount
  equal "$(mounts)" 0 "number of mounts"
  refuses 5 'is not mounted' velafs umount
}
check "umount detaches it too, wherever it was" umounted

aborted() {
  local daemon worker
  velafs -q mount
  daemon=$(daemon_pid)
  (cd "$mount_dir/one" && exec sleep 60) &
  worker=$!
  wait_until 10 works_in_branch "$worker"
  umount --force "$mount_dir" || true  # the kernel answers for the daemon from now on
  wait_until 10 has_ended "$daemon"
  equal "$(mounts)" 0 "number of mounts"
  kill "$worker"
  velafs list
}
check "a daemon whose mount the kernel has aborted detaches it" aborted

covered() {
  velafs -q mount
  mount -t tmpfs cover "$mount_dir"
  refuses 4 'something else is mounted there' velafs umount
  umount "$mount_dir"
  velafs -q umount
}
check "what somebody else has mounted over it is left alone" covered

commands_work() {
  velafs -q mount
  kill_daemon
  velafs -q clone one three
  velafs --json show three | jq -e '.path == null'
  velafs -q delete --purge three
  velafs -q umount
}
check "commands work before it is detached" commands_work

unprivileged() {
  if [[ ! -u $(command -v fusermount3 || echo /bin/false) ]]; then return 0; fi
  as_postgres test -w /dev/fuse || mount --bind "$VELAFS_SANDBOX/fuse" /dev/fuse
  local store=$VELAFS_SANDBOX/home/store pid
  install -d -o postgres "$VELAFS_SANDBOX/home"
  mine() { as_postgres velafs --store "$store" "$@"; }
  mine -q init
  mine -q import main --from-dir "$VELAFS_SANDBOX/cluster"
  mine -q mount
  pid=$(cat "$store/run/lock")
  kill -KILL "$pid"
  wait_until 10 has_ended "$pid"
  says_detached "$store/mnt" mine mount
  as_postgres cmp "$store/mnt/main/PG_VERSION" "$VELAFS_SANDBOX/cluster/PG_VERSION"
  mine -q umount
  equal "$(mounts)" 0 "number of mounts"
  ! mountpoint -q /dev/fuse || umount /dev/fuse
}
mknod --mode 666 "$VELAFS_SANDBOX/fuse" c 10 229
if mount -o remount,dev "$VELAFS_SANDBOX" 2>/dev/null || : <>"$VELAFS_SANDBOX/fuse"; then
  check "an ordinary user's mount too" unprivileged
else
  skip "an ordinary user's mount too" "no device can be opened under ${VELAFS_SANDBOX%/*}"
fi

# ---- What a reboot leaves --------------------------------------------------------------------------

rebooted() {
  velafs -q mount
  velapg -q start one
  local server
  server=$(velapg --json status one | jq .pid)
  kill -KILL "$server"
  wait_until 10 has_ended "$server"
  kill_daemon
  umount --lazy "$mount_dir"
  wait_until 10 servers_are_gone
  # Other programs have these numbers now.
  sleep 60 &
  printf '%s\n' $! >"$VELAFS_STORE/run/lock"
  test -S "$VELAFS_STORE/run/api.sock" || fail "there is no stale socket"
  velafs list
  velafs -q mount
  sed -i "1s/.*/$!/" "$mount_dir/one/postmaster.pid"
  velafs --json show one | jq -e '.state == "ready"'
  velapg status one | has_line stopped && fail "status succeeds"
  velapg -q start one
  invariant_holds one
  velapg -q stop one
  kill $!
  velafs -q umount
}
servers_are_gone() {
  ! grep -lxs postgres /proc/[0-9]*/comm
}
check "stale lock, socket and postmaster.pid, whose pids are others' now, do no harm" rebooted

mountpoint_in_use() {
  echo precious >"$mount_dir/file"
  refuses 4 'not empty' velafs mount
  equal "$(cat "$mount_dir/file")" precious
  rm "$mount_dir/file"
}
check "a mountpoint with files in it is refused" mountpoint_in_use

# ---- Two at once, and one that hangs ---------------------------------------------------------------

raced() {
  local i pids=() won=0 status
  for ((i = 0; i < 4; ++i)); do
    velafs --json mount >"$VELAFS_SANDBOX/race-$i" 2>/dev/null &
    pids+=($!)
  done
  for ((i = 0; i < 4; ++i)); do
    status=0
    wait "${pids[i]}" || status=$?
    if ((status == 0)); then
      won=$((won + 1))
    else
      equal "$status" 5 "exit status of a loser"
      jq -e --arg pid "$(daemon_pid)" '.error.code == "locked" and (.error.message | contains("process " + $pid))' \
        "$VELAFS_SANDBOX/race-$i"
    fi
  done
  equal "$won" 1 "number of mounts that succeeded"
  equal "$(mounts)" 1 "number of mounts"
  velafs -q umount
}
check "of several mounts at once one wins, and the others are told who" raced

hung() {
  local pid start
  velafs -q mount
  pid=$(daemon_pid)
  kill -STOP "$pid"
  for command in list umount mount 'clone one two'; do
    start=$(now_ms)
    # shellcheck disable=SC2086
    velafs --json $command >"$VELAFS_SANDBOX/hung" 2>&1 && fail "velafs $command succeeds"
    at_most $(($(now_ms) - start)) 8000 "milliseconds that velafs $command took"
    grep '^{' "$VELAFS_SANDBOX/hung" | jq -e --arg pid "$pid" '.error.code == "unreachable" and (.error.hint | contains($pid))'
  done
  refuses 5 'does not answer' velafs list
  refuses 5 'does not answer' velapg status one
  kill -CONT "$pid"
  velafs list
  velafs -q umount
}
check "a daemon that hangs makes no command wait for long" hung

# ---- Servers that survive their daemon -------------------------------------------------------------

lost_server() { # makes one, and prints its pid
  velafs -q mount
  velapg --json start one | jq .pid
  kill_daemon >&2
}

lost_and_stopped() {
  local server
  server=$(lost_server)
  velapg status one >"$VELAFS_SANDBOX/status" && fail "status succeeds"
  has_line -w "orphaned, pid $server" <"$VELAFS_SANDBOX/status" || fail "$(cat "$VELAFS_SANDBOX/status")"
  velapg --json stop one | jq -e --argjson pid "$server" '.stopped and .pid == $pid'
  wait_until 10 servers_are_gone || fail "the server is still there"
  velapg status one | has_line stopped && fail "status succeeds"
  velapg --json stop one | jq -e '.stopped == false'
  velafs -q umount
}
check "a server without its mount is told, and stopped before anything is mounted" lost_and_stopped

lost_and_started() {
  local server
  server=$(lost_server)
  [[ -z ${1:-} ]] || velafs mount
  [[ ${1:-} != forgotten ]] || rm "$mount_dir/one/postmaster.pid"
  velapg start one
  has_ended "$server" || fail "the old server is still there"
  invariant_holds one
  equal "$(pgrep --exact postgres --parent 1 | wc -l)" 1 "number of servers"
  refuses 4 'already running' velapg start one
  velapg stop one
  wait_until 10 servers_are_gone
  velafs -q umount
}
check "to start one ends it first, mounting by itself" lost_and_started
check "also after a mount" lost_and_started mounted
check "also when its postmaster.pid is gone" lost_and_started forgotten
