#!/usr/bin/env bash
# A host without a free inode, but with blocks: the store opens, mounts and is cleaned up, and once there are inodes
# again everything goes on.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"
source "$root_dir/integration/disk.sh"

export VELAFS_STORE=$host_dir/store
mount_dir=$VELAFS_STORE/mnt
fillers=$host_dir/fillers # another program's files

free_inodes() {
  df --output=iavail "$host_dir" | tail -n 1
}

# Takes every inode that is free.
fill() {
  local number=0
  mkdir -p "$fillers"
  while : 2>/dev/null >"$fillers/$number"; do number=$((number + 1)); done
  equal "$(free_inodes | tr -d ' ')" 0 "free inodes"
}

opens_without_inodes() {
  fill
  velafs list | has_line main
  velafs bookmark list | has_line one@point
}

deletes_without_inodes() {
  velafs -q bookmark delete one@point
  velafs -q delete one
}

mounts_without_inodes() {
  fill
  velafs -q mount
  cmp "$mount_dir/main/base/1/1259" "$VELAFS_SANDBOX/cluster/base/1/1259"
  velafs -q umount
}

goes_on() {
  rm -rf "$fillers"
  velafs -q mount
  velafs -q clone main two
  echo text >"$mount_dir/two/made"
  velafs -q umount
  equal "$(find "$VELAFS_STORE" -maxdepth 1 -name 'reserve.*' | wc -l)" 16 "files in reserve"
}

if why=$(needs_loop_devices ext4); then
  make_cluster "$VELAFS_SANDBOX/cluster" 1
  make_disk ext4 300M -N 256
  mount -o loop "$disk_image" "$host_dir"
  velafs -q init
  velafs -q import main --from-dir "$VELAFS_SANDBOX/cluster"
  velafs -q clone main one
  velafs -q bookmark create one@point
  check "a store opens on a host without a free inode" opens_without_inodes
  check "a branch and a bookmark are deleted there" deletes_without_inodes
  check "a store is mounted there, and read" mounts_without_inodes
  check "once there are inodes again, everything goes on" goes_on
  stop_store
  wait_until 10 umount "$host_dir" || fail "the disk is still in use"
else
  skip "a host without inodes" "$why"
fi
