# Filesystems in an image file, on a disk whose power can be cut (programs/volatile_disk.cc). Sourced after
# lib.sh, by scripts that call `begin`.
# shellcheck shell=bash

disk_dir=$VELAFS_SANDBOX/disk # where the disk shows its one file
host_dir=$VELAFS_SANDBOX/host # where the filesystem on the disk is mounted
# Named after the sandbox, which so finds loop devices that were left.
disk_image=$VELAFS_SANDBOX/${VELAFS_SANDBOX##*/}.img
disk_log=$VELAFS_SANDBOX/disk.log
mkdir -p "$disk_dir" "$host_dir"

# make_disk FILESYSTEM SIZE [OPTION...]: a new, empty image; the options are mkfs's.
make_disk() {
  local filesystem=$1 size=$2
  shift 2
  rm -f "$disk_image"
  truncate --size "$size" "$disk_image"
  case $filesystem in
    ext4) mkfs.ext4 -q -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 "$@" "$disk_image" ;;
    xfs) mkfs.xfs -q -K "$@" "$disk_image" ;;
    btrfs) mkfs.btrfs --quiet --nodiscard "$@" "$disk_image" >/dev/null ;;
  esac
}

# plug_in SECTOR_BYTES SEED: the disk's power comes on.
plug_in() {
  "$VELAFS_SANDBOX/bin/volatile_disk" "$disk_image" "$disk_dir" --sector "$1" --seed "$2" >"$disk_log" &
  echo "$!" >"$VELAFS_SANDBOX/disk.pid"
  wait_until 10 test -e "$disk_dir/${disk_image##*/}"
}

# What the disk's file is as a block device. It must be given back, or mounted: then `losetup --detach`
# makes it go with the mount.
loop_device() {
  losetup --find --show --direct-io=on "$disk_dir/${disk_image##*/}"
}

mount_host() {
  local loop
  loop=$(loop_device)
  mount "$loop" "$host_dir"
  losetup --detach "$loop"
}

# From here on the disk answers nothing, and the image is what the cut has left.
cut_power() {
  local disk
  disk=$(<"$VELAFS_SANDBOX/disk.pid")
  kill -USR1 "$disk"
  wait_until 20 has_ended "$disk"
  cat "$disk_log"
}

# Also after a cut. Who used the filesystem on the disk may have ended only just now.
unplug() {
  wait_until 20 umount "$host_dir" 2>/dev/null || fail "the filesystem on the disk is still in use"
  wait_until 20 umount "$disk_dir" 2>/dev/null || fail "the disk is still in use"
}
