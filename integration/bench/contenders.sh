# The ways to get a copy of a PGDATA that bench.sh compares. Each has three functions: `prepare_X` fails and prints a reason
# if the machine does not have it, `make_X` makes a new copy of the cluster at $data, `drop_X` removes that copy.
# shellcheck shell=bash

# velafs: a clone on a mount with defaults; through: with --write-through; halting: with --no-idle-polling;
# ephemeral: an ephemeral clone.
all_contenders=(velafs through halting ephemeral ext4 xfs btrfs overlayfs)

is_velafs() {
  [[ $contender =~ ^(velafs|through|halting|ephemeral)$ ]]
}
data_of() { # data_of CONTENDER: where its copy is
  case $1 in
    velafs | through | halting | ephemeral) echo "$mount_dir/work" ;;
    overlayfs) echo "$VELAFS_SANDBOX/ext4/overlayfs/work" ;;
    *) echo "$VELAFS_SANDBOX/$1/work" ;;
  esac
}
remount() {
  local options=()
  [[ $contender != halting ]] || options=(--no-idle-polling)
  [[ $contender != through ]] || options=(--write-through)
  velafs -q umount
  velafs -q mount "${options[@]}"
}

# A filesystem in an image file, without a cache of its own under it.
mount_image() { # mount_image FILESYSTEM SIZE
  local image=$VELAFS_SANDBOX/$1-${VELAFS_SANDBOX##*/}.img loop options=()
  [[ $1 != ext4 ]] || options=(-E 'lazy_itable_init=0,lazy_journal_init=0') # nothing is left to do behind the scenes
  needs_loop_devices "$1" || return 1
  fallocate --length "$2" "$image"
  "mkfs.$1" -q "${options[@]}" "$image"
  mkdir "$VELAFS_SANDBOX/$1"
  loop=$(losetup --find --show --direct-io=on "$image") || { echo "there is no loop device" && return 1; }
  mount -o noatime "$loop" "$VELAFS_SANDBOX/$1"
  losetup --detach "$loop" # goes with the mount
}
unmount_images() {
  stop_store
  umount "$VELAFS_SANDBOX/"{ext4,xfs,btrfs} 2>/dev/null || true
}

prepare_velafs() { :; }
make_velafs() { velafs -q clone main work; }
drop_velafs() { velafs -q delete --purge work; }

prepare_through() { :; }
make_through() { make_velafs; }
drop_through() { drop_velafs; }

prepare_halting() {
  grep -qx haltpoll /sys/devices/system/cpu/cpuidle/current_driver 2>/dev/null ||
    { echo "idle processors would not poll anyway" && return 1; }
}
make_halting() { make_velafs; }
drop_halting() { drop_velafs; }

prepare_ephemeral() { :; }
make_ephemeral() { velafs -q clone main work --ephemeral; }
drop_ephemeral() { drop_velafs; }

prepare_ext4() { :; }
make_ext4() { cp -a "$cluster" "$data"; }
drop_ext4() { rm -rf "$data"; }

prepare_xfs() {
  mount_image xfs "$image_bytes" || return 1
  cp -a "$cluster" "$VELAFS_SANDBOX/xfs"
}
make_xfs() { cp -a --reflink=always "$VELAFS_SANDBOX/xfs/cluster" "$data"; }
drop_xfs() { rm -rf "$data"; }

prepare_btrfs() {
  mount_image btrfs "$image_bytes" || return 1
  btrfs -q subvolume create "$VELAFS_SANDBOX/btrfs/cluster"
  cp -a "$cluster/." "$VELAFS_SANDBOX/btrfs/cluster"
  chown --reference="$cluster" "$VELAFS_SANDBOX/btrfs/cluster"
  chmod --reference="$cluster" "$VELAFS_SANDBOX/btrfs/cluster"
}
make_btrfs() { btrfs -q subvolume snapshot "$VELAFS_SANDBOX/btrfs/cluster" "$data"; }
drop_btrfs() { btrfs -q subvolume delete "$data"; }

prepare_overlayfs() {
  grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null || { echo "the kernel has no overlayfs" && return 1; }
  mkdir "$VELAFS_SANDBOX/ext4/overlayfs"
}
make_overlayfs() {
  local dir=$VELAFS_SANDBOX/ext4/overlayfs
  install -d -o postgres -m 700 "$dir/upper" "$dir/inner" "$data"
  mount -t overlay -o "lowerdir=$cluster,upperdir=$dir/upper,workdir=$dir/inner" overlay "$data"
}
drop_overlayfs() {
  umount "$data"
  rm -rf "$VELAFS_SANDBOX/ext4/overlayfs/"{upper,inner,work}
}

# Bytes on disk that the filesystem of $contender has in use.
used_bytes() {
  if is_velafs; then
    store_bytes
  elif [[ $contender == overlayfs ]]; then
    sync --file-system "$VELAFS_SANDBOX/ext4"
    du --summarize --block-size=1 "$VELAFS_SANDBOX/ext4/overlayfs/upper" | cut -f1
  elif [[ $contender == ext4 ]]; then
    sync --file-system "$VELAFS_SANDBOX/ext4"
    du --summarize --block-size=1 "$data" | cut -f1
  else
    sync --file-system "$VELAFS_SANDBOX/$contender"
    df --output=used --block-size=1 "$VELAFS_SANDBOX/$contender" | tail -n 1
  fi
}
