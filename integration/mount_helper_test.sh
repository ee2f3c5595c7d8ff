#!/usr/bin/env bash
# mount(8), umount(8) and lines of /etc/fstab, by way of mount.velafs.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

make_cluster "$VELAFS_SANDBOX/cluster" 0
velafs -q init
velafs -q import main --from-dir "$VELAFS_SANDBOX/cluster"
velafs -q unprotect main
store=$VELAFS_STORE
target=$VELAFS_SANDBOX/branches
mkdir "$target"

# mount(8) finds its helpers in fixed directories, and gives them a PATH of its own. What is bound there
# is gone with the sandbox's mount namespace.
mkdir sbin
cp -a /sbin/. sbin/
{
  echo '#!/bin/sh'
  echo "PATH=$VELAFS_SANDBOX/bin:\$PATH exec $root_dir/packaging/mount.velafs \"\$@\""
} >sbin/mount.velafs
chmod 755 sbin/mount.velafs
mount --bind sbin "$(readlink -f /sbin)"
leave_sbin() { umount --lazy "$(readlink -f /sbin)"; }
at_end=leave_sbin

# says PATTERN COMMAND...: it fails, and says that.
says() {
  local pattern=$1 status=0
  shift
  "$@" >out 2>&1 || status=$?
  cat out
  ((status != 0)) || fail "it is not refused"
  has_line -E -- "$pattern" out || fail "it does not say: $pattern"
}

mounted() {
  mount -t velafs -o noatime,nofail,x-systemd.automount,_netdev "$store" "$target"
  is_mount "$target" || fail "it is not mounted"
  ls "$target/main" | has_line -x PG_VERSION
  velapg -q start main
  says 'busy' umount "$target"
  velapg -q stop main
  umount "$target"
  ! is_mount "$target" || fail "it is still mounted"
  wait_until 20 eval '! velafs --json status | jq -e ".pid != null"' || fail "the daemon is still there"
}
check "mount and umount do with a store as with any filesystem" mounted

by_fstab() {
  echo "$store $target velafs defaults,nofail,no_autostart,stop_timeout=5s 0 0" >fstab
  mount --fstab fstab "$target"
  is_mount "$target" || fail "it is not mounted"
  mount --fstab fstab --all # it is mounted already
  says 'already mounted' mount -t velafs "$store" "$target"
  umount "$target"
}
check "a line of fstab mounts a store, once" by_fstab

refused() {
  says 'cannot be mounted read-only' mount -t velafs -o ro "$store" "$target"
  says 'unknown option "fast"' mount -t velafs -o fast "$store" "$target"
  says 'there is no store at' mount -t velafs "$VELAFS_SANDBOX/none" "$target"
  says 'is not an absolute path' mount -t velafs -o config=a "$store" "$target"
  says 'usage: ' "$root_dir/packaging/mount.velafs" "$store"
  says 'unknown option "-z"' "$root_dir/packaging/mount.velafs" "$store" "$target" -z
  says 'not a duration|duration' mount -t velafs -o stop_timeout=soon "$store" "$target"
  ! is_mount "$target" || fail "it is mounted"
  mount -s -t velafs -o fast "$store" "$target"
  umount "$target"
  mount -f -t velafs "$store" "$target"
  ! is_mount "$target" || fail "a fake mount is none"
}
check "what a store cannot be mounted with is refused in words" refused
